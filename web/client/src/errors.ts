import { ContractFunctionRevertedError, isHex } from "viem";

/** What can go wrong, as a closed list to decide by; the message is for people. */
export type ErrorCode =
  /** There is no provider to work with. */
  | "invalid-provider"
  /** At the contract's address on this network is no channel contract, or its token is another one. */
  | "invalid-contract"
  /** No channel is loaded, or parts of it are missing. */
  | "no-channel"
  /** The chain knows no channel that could be used. */
  | "channel-not-found"
  /** The channel is not in the state that this needs. */
  | "wrong-state"
  /** The account owns fewer tokens than are to be deposited. */
  | "not-enough-tokens"
  /** The deposit does not cover the payment; see {@link InsufficientFundsError}. */
  | "insufficient-funds"
  /** The challenge period is not over. */
  | "inside-challenge-period"
  /** Whoever uses the wallet said no. */
  | "user-denied"
  /** The wallet signed something else, or with another key. */
  | "invalid-signature"
  /** A balance proof is not the one that was signed. */
  | "invalid-proof"
  /** Text is not an amount of this token, or an amount is not one that a channel can take. */
  | "invalid-amount"
  /** A transaction was mined and has failed, would fail, or was replaced by another one in the wallet. */
  | "transaction-failed"
  /** The wallet or its node failed; the reason is in `cause`. */
  | "provider-failed";

/** Everything that the library throws by itself. */
export class MicroRaidenError extends Error {
  override name = "MicroRaidenError";

  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The deposit does not cover a payment. */
export class InsufficientFundsError extends MicroRaidenError {
  override name = "InsufficientFundsError";

  /**
   * @param current the channel's deposit, in base units
   * @param required the balance that was to be signed, in base units
   */
  constructor(
    readonly current: bigint,
    readonly required: bigint,
  ) {
    super("insufficient-funds", `Insuficient funds: current = ${current} , required = ${required}`);
  }
}

/** The codes by which a provider says that the user said no (EIP-1193), or that it has no such method. */
const DENIED = 4001;
const UNSUPPORTED = [4200, -32601, -32004];
/** The code by which a node says that a contract said no. */
const REVERTED = 3;

/** All errors behind an error, itself first. */
function* chain(error: unknown): Generator<{ code?: unknown; message?: unknown; data?: unknown }> {
  for (let depth = 0; typeof error === "object" && error !== null && depth < 10; depth++) {
    yield error;
    error = (error as { cause?: unknown }).cause;
  }
}

/** Whether the user of the wallet said no. */
export function isDenied(error: unknown): boolean {
  return [...chain(error)].some(
    ({ code, message }) =>
      code === DENIED || code === "user-denied" || /user (denied|rejected)|rejected by (the )?user/i.test(String(message)),
  );
}

/** Whether the provider does not know the method. */
export function isUnsupported(error: unknown): boolean {
  return [...chain(error)].some(
    ({ code, message }) => UNSUPPORTED.includes(code as number) || /not support|does not exist|unknown method/i.test(String(message)),
  );
}

/** Whether the contract itself said no; not the wallet, the node or the connection, which viem does not tell apart. */
export function isRevert(error: unknown): boolean {
  const { code, message, data } = [...chain(error)].at(-1) ?? {};
  // Some wallets wrap the answer of their node in another.
  const inner = typeof data === "object" && data !== null ? (data as { code?: unknown; message?: unknown }) : {};
  return isHex(data) || code === REVERTED || inner.code === REVERTED || [message, inner.message].some((text) => /revert/i.test(String(text)));
}

/** Why a contract said no, as far as it did: the name of its error, or its text. */
function revertReason(error: unknown): string | undefined {
  const reverted = [...chain(error)].find((one): one is ContractFunctionRevertedError => one instanceof ContractFunctionRevertedError);
  const name = reverted?.data?.errorName;
  return name === "Error" || name === "Panic" ? reverted?.reason : (name ?? reverted?.reason);
}

/** An error of the provider's as one of ours. */
export function wrapped(error: unknown, doing: string): MicroRaidenError {
  if (error instanceof MicroRaidenError) return error;
  if (isDenied(error)) return new MicroRaidenError("user-denied", `User denied: ${doing}`, { cause: error });
  // `details` is what the provider said, `shortMessage` what viem makes of it.
  const { details, shortMessage, message } = error as { details?: string; shortMessage?: string; message?: string };
  const reason = revertReason(error) || details || shortMessage || message || String(error);
  return new MicroRaidenError("provider-failed", `${doing} has failed: ${reason}`, { cause: error });
}

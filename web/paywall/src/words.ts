// Failures in words, with what to do.

import { MicroRaidenError, isDenied, type ErrorCode } from "../../client/src/index.js";

/** Refusals that only say that the page was seen before: then it is paid for anew. */
const SEEN_BEFORE = ["balance-query", "already-spent", "decreasing-balance"];
/** Refusals that end by themselves as blocks come. */
const PASSING = ["unconfirmed", "top-up-unconfirmed", "impaired"];

export const isSeenBefore = (code: string) => SEEN_BEFORE.includes(code);
export const isPassing = (code: string) => PASSING.includes(code);

const REFUSALS: Record<string, string> = {
  "invalid-amount": "The price has changed while you paid. Nothing was charged; pay again at the new price.",
  "not-covered": "The server did not accept how this payment was made up. Nothing was charged; pay again.",
  "window-exceeded": "The server did not accept this payment, since too many before it are missing. Close this channel and open a new one.",
  "above-deposit": "The server sees a smaller deposit than this payment needs. Nothing was charged; wait for your top-up, or top up.",
  "invalid-signature": "The server did not accept the wallet's signature. Nothing was charged. Does the wallet sign typed data of version 1?",
  "unknown-channel": "The server does not know this channel.",
  "closing-only": "The server does not sell on this channel any more.",
  "close-promised": "A close of this channel is agreed, so the server does not sell on it any more.",
  challenged: "This channel is being closed, so the server does not sell on it any more.",
  settled: "This channel is settled, so the server does not sell on it any more.",
};

/** What a refusal of the server's means. */
export function refusal(code: string): string {
  return REFUSALS[code] ?? `The server did not accept the payment (${code}). Nothing was charged.`;
}

const DENIED = "You declined in the wallet. Nothing was signed or sent.";
const ERRORS: Partial<Record<ErrorCode, string>> = {
  "not-enough-tokens": "This account owns fewer tokens than that.",
  "invalid-signature": "The wallet signed something else than was asked for, so nothing was paid. Does it sign typed data of version 1?",
  "inside-challenge-period": "The challenge period is not over yet.",
  "wrong-state": "The channel is not in the state that this needs.",
};

/** What went wrong, for whoever uses the page. */
export function words(error: unknown): string {
  // Some questions go to the wallet itself, and so do its answers.
  if (isDenied(error)) return DENIED;
  if (error instanceof MicroRaidenError) return ERRORS[error.code] ?? error.message;
  return error instanceof Error ? error.message : String(error);
}

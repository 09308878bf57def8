// Compiles Tokens.sol: the contracts by name, each with its interface and creation code.

import { readFileSync } from "node:fs";
import solc from "solc";

const SETTINGS = {
  optimizer: { enabled: true },
  evmVersion: "cancun",
  outputSelection: { "Tokens.sol": { "*": ["abi", "evm.bytecode.object"] } },
};

function compile() {
  const sources = { "Tokens.sol": { content: readFileSync(new URL("Tokens.sol", import.meta.url), "utf8") } };
  const output = JSON.parse(solc.compile(JSON.stringify({ language: "Solidity", sources, settings: SETTINGS })));
  if (output.errors?.length) throw new Error(output.errors.map((error) => error.formattedMessage).join("\n"));
  const contracts = Object.entries(output.contracts["Tokens.sol"]);
  return Object.fromEntries(contracts.map(([name, { abi, evm }]) => [name, { abi, bytecode: `0x${evm.bytecode.object}` }]));
}

export const { PlainToken, GrudgingToken } = compile();

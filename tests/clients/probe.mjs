// Compiles Probe.sol, the contract that the client suites try a node with; run as main it prints the result as JSON.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import solc from "solc";

const SOURCE = new URL("Probe.sol", import.meta.url);

const SETTINGS = {
  optimizer: { enabled: true },
  evmVersion: "cancun",
  outputSelection: { "Probe.sol": { Probe: ["abi", "evm.bytecode.object"] } },
};

/** The interface and the creation code of the contract; a warning is an error. */
function compile() {
  const sources = { "Probe.sol": { content: readFileSync(SOURCE, "utf8") } };
  const output = JSON.parse(solc.compile(JSON.stringify({ language: "Solidity", sources, settings: SETTINGS })));
  if (output.errors?.length) {
    throw new Error(output.errors.map((error) => error.formattedMessage).join("\n"));
  }
  const { abi, evm } = output.contracts["Probe.sol"].Probe;
  return { abi, bytecode: `0x${evm.bytecode.object}` };
}

export const { abi, bytecode } = compile();

if (import.meta.url === pathToFileURL(process.argv[1]).href) console.log(JSON.stringify({ abi, bytecode }));

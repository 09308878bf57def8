// Compiles src/ and writes artifacts/, or with --check compares them with what is committed.

import { readFileSync, readdirSync, mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import path from "node:path";
import solc from "solc";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const SOURCES = path.join(HERE, "src");
const ARTIFACTS = path.join(HERE, "artifacts");
const CONTRACTS = ["CustomToken", "Delegate", "RaidenMicroTransferChannels"];

/** Everything that decides a byte of the result is pinned here; solc's version is pinned in package.json. */
const SETTINGS = {
  optimizer: { enabled: true, runs: 1_000_000 },
  evmVersion: "cancun",
  metadata: { bytecodeHash: "none", appendCBOR: false },
  outputSelection: {
    "*": {
      "": ["ast"],
      "*": [
        "abi",
        "devdoc",
        "userdoc",
        "evm.bytecode.object",
        "evm.deployedBytecode.object",
        "evm.deployedBytecode.immutableReferences",
      ],
    },
  },
};

/** Compiles all of src/ and returns solc's output by contract name; a warning is an error. */
export function compile() {
  const files = readdirSync(SOURCES).filter((file) => file.endsWith(".sol")).sort();
  const sources = Object.fromEntries(
    files.map((file) => [`src/${file}`, { content: readFileSync(path.join(SOURCES, file), "utf8") }]),
  );
  const output = JSON.parse(solc.compile(JSON.stringify({ language: "Solidity", sources, settings: SETTINGS })));
  if (output.errors?.length) {
    throw new Error(output.errors.map((error) => error.formattedMessage).join("\n"));
  }
  const names = variables(output.sources);
  const contracts = Object.assign({}, ...Object.values(output.contracts));
  for (const contract of Object.values(contracts)) contract.immutables = immutables(contract, names);
  return contracts;
}

/** The names of all variables by their number in the syntax tree. */
function variables(node, names = {}) {
  if (typeof node !== "object" || node === null) return names;
  if (node.nodeType === "VariableDeclaration") names[node.id] = node.name;
  Object.values(node).forEach((child) => variables(child, names));
  return names;
}

/** Where the deployed code holds the 32 bytes of each immutable value, by its name. */
function immutables({ evm }, names) {
  const places = Object.entries(evm.deployedBytecode.immutableReferences ?? {}).map(([id, references]) => [
    names[id],
    references.map(({ start }) => start),
  ]);
  return Object.fromEntries(places.sort());
}

/** The committed text of one contract's artifact. */
function artifact(contractName, { abi, evm, immutables }) {
  const content = {
    contractName,
    compiler: solc.version(),
    abi,
    bytecode: `0x${evm.bytecode.object}`,
    deployedBytecode: `0x${evm.deployedBytecode.object}`,
    immutables,
  };
  return `${JSON.stringify(content, null, 2)}\n`;
}

/** Reads a file, or gives null when there is none. */
function read(file) {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (error.code === "ENOENT") return null;
    throw error;
  }
}

function main(check) {
  const compiled = compile();
  mkdirSync(ARTIFACTS, { recursive: true });
  const stale = [];
  for (const name of CONTRACTS) {
    const file = path.join(ARTIFACTS, `${name}.json`);
    const fresh = artifact(name, compiled[name]);
    if (!check) writeFileSync(file, fresh);
    else if (read(file) !== fresh) stale.push(path.relative(HERE, file));
  }
  if (stale.length) {
    throw new Error(`not what src/ compiles to: ${stale.join(", ")}; run \`node contracts/compile.mjs\` and commit`);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    main(process.argv.includes("--check"));
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}

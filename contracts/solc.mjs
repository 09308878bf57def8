#!/usr/bin/env node
// npm's solc as the executable that forge asks for: `--version`, and `--standard-json` from standard input.

import { readFileSync } from "node:fs";
import solc from "solc";

if (process.argv.includes("--version")) {
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`);
} else if (process.argv.includes("--standard-json")) {
  process.stdout.write(solc.compile(readFileSync(0, "utf8")));
} else {
  console.error("only --version and --standard-json are known here");
  process.exitCode = 1;
}

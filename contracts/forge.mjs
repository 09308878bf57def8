// Runs npm's forge in this folder, where it finds foundry.toml and our solc: `node contracts/forge.mjs test`.

import { spawn } from "node:child_process";
import { fileURLToPath, pathToFileURL } from "node:url";
import path from "node:path";

const FORGE = fileURLToPath(import.meta.resolve("@foundry-rs/forge/bin.mjs"));

/** Runs forge in `folder` and gives its exit code and, if `stdio` is "pipe", what it printed. */
export function forge(options, { folder, stdio }) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [FORGE, ...options], { cwd: folder, stdio: ["ignore", stdio, stdio] });
    let printed = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text) => (printed += text));
    }
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, printed }));
  });
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const folder = path.dirname(fileURLToPath(import.meta.url));
  const { code } = await forge(process.argv.slice(2), { folder, stdio: "inherit" });
  process.exitCode = code ?? 1;
}

// Runs npm's forge in this folder, where it finds foundry.toml and our solc: `node contracts/forge.mjs test`.

import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import path from "node:path";

/** The program itself, not npm's script around it, which exits with 0 also when tests failed. */
function program() {
  const architecture = { x64: "amd64" }[process.arch] ?? process.arch;
  const file = process.platform === "win32" ? "forge.exe" : "forge";
  const place = `@foundry-rs/forge-${process.platform}-${architecture}/bin/${file}`;
  return createRequire(import.meta.url).resolve(place);
}

/** Runs forge in `folder` and gives its exit code and, if `stdio` is "pipe", what it printed. */
export function forge(options, { folder, stdio, environment = {} }) {
  return new Promise((resolve, reject) => {
    const child = spawn(program(), options, {
      cwd: folder,
      stdio: ["ignore", stdio, stdio],
      env: { ...process.env, ...environment },
    });
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

// Builds the browser's side: the library (client/dist) and the files that the paywall crate serves, which are committed.
//
//   node web/build.mjs           writes everything
//   node web/build.mjs --check   writes only client/dist, and fails when a committed file is not what a fresh build gives

import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const WEB = path.dirname(fileURLToPath(import.meta.url));
const ROOT = path.dirname(WEB);
const PAGE = "crates/paywall/page";
/** The most that the scripts of the paywall page may weigh, compressed, in bytes. */
const MOST = 100_000;

/** The contracts' interfaces as TypeScript, so that types follow from them. */
function abis() {
  const constants = { contractAbi: "RaidenMicroTransferChannels", tokenAbi: "CustomToken" };
  const parts = Object.entries(constants).map(([name, contract]) => {
    const { abi } = JSON.parse(readFileSync(path.join(ROOT, `contracts/artifacts/${contract}.json`), "utf8"));
    const items = abi.map((item) => `  ${JSON.stringify(item)},\n`).join("");
    return `/** The interface of ${contract}. */\nexport const ${name} = [\n${items}] as const;\n`;
  });
  return `// Made from contracts/artifacts by web/build.mjs.\n\n${parts.join("\n")}`;
}

function tsc(...options) {
  const program = path.join(ROOT, "node_modules/typescript/bin/tsc");
  execFileSync(process.execPath, [program, ...options], { cwd: WEB, stdio: "inherit" });
}

/** The folders of the packages that are in what was bundled. */
const packages = new Set();

/** One file for browsers with all that it imports. */
async function bundle(entry, options = {}) {
  const { outputFiles, metafile } = await build({
    entryPoints: [path.join(WEB, entry)],
    absWorkingDir: ROOT,
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: "esm",
    target: "es2022",
    charset: "utf8",
    legalComments: "none",
    banner: { js: "/* µRaiden. What else is in here, and its licences: licences.txt */" },
    ...options,
  });
  for (const { inputs } of Object.values(metafile.outputs)) {
    for (const input of Object.keys(inputs)) {
      const [folder] = /^.*node_modules\/(@[^/]+\/)?[^/]+/.exec(input) ?? [];
      if (folder) packages.add(folder);
    }
  }
  return outputFiles[0].text;
}

/** The licences of the packages that are handed on with the scripts, as these ask for. */
function licences() {
  const parts = [...packages].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(path.join(ROOT, folder, "package.json"), "utf8"));
    const file = readdirSync(path.join(ROOT, folder)).find((file) => /^licen[cs]e/i.test(file));
    if (!file) throw new Error(`${name} comes without the text of its licence`);
    const text = readFileSync(path.join(ROOT, folder, file), "utf8").trim();
    return `${name} ${version} (${license})\n\n${text}\n`;
  });
  const unique = [...new Set(parts)];
  const head = "µRaiden is under MIT or Apache-2.0. Its scripts for browsers have these packages in them:\n";
  return [head, ...unique].join(`\n${"-".repeat(80)}\n\n`);
}

/** Lets the page's scripts load the library as the file of its own that it is; the server puts the version in. */
const library = {
  name: "library",
  setup({ onResolve }) {
    onResolve({ filter: /client\/src\/index\.js$/ }, () => ({ path: "./client.js?v={version}", external: true }));
  },
};

async function outputs() {
  const client = await bundle("client/src/index.ts");
  const plugins = [library];
  const files = {
    "client.js": client,
    "paywall.css": await bundle("paywall/src/paywall.css", { format: undefined }),
    "paywall.js": await bundle("paywall/src/paywall.ts", { plugins }),
    "tokens.js": await bundle("paywall/src/tokens.ts", { plugins }),
    "throwaway.js": await bundle("paywall/src/throwaway.ts", { plugins }),
  };
  const scripts = [client, files["paywall.js"]];
  const compressed = scripts.reduce((sum, script) => sum + gzipSync(script, { level: 9 }).length, 0);
  console.log(`the paywall page's scripts: ${scripts.join("").length} bytes, ${compressed} compressed`);
  if (compressed > MOST) throw new Error(`the paywall page's scripts are larger than ${MOST} bytes compressed`);
  for (const name of ["index.html", "tokens.html"]) files[name] = readFileSync(path.join(WEB, "paywall/src", name), "utf8");
  files["licences.txt"] = licences();
  return files;
}

/** Writes a committed file, or compares it. */
function commit(file, content, check) {
  const target = path.join(ROOT, file);
  if (!check) {
    mkdirSync(path.dirname(target), { recursive: true });
    return writeFileSync(target, content);
  }
  let found = "";
  try {
    found = readFileSync(target, "utf8");
  } catch {
    // As good as another one.
  }
  if (found !== content) throw new Error(`${file} is not what a fresh build gives: run \`npm run web:build\``);
}

const check = process.argv.includes("--check");
commit("web/client/src/abi.ts", abis(), check);
rmSync(path.join(WEB, "client/dist"), { recursive: true, force: true });
tsc("--project", "client/tsconfig.json");
tsc("--project", "paywall/tsconfig.json");
for (const [name, content] of Object.entries(await outputs())) commit(`${PAGE}/${name}`, content, check);

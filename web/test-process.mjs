// Starts the programs that the tests need, and ends them.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's root. */
export const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** How long a program may take to start, or to end, in milliseconds. */
const PATIENCE = 60_000;

// The runner ends a file of tests that takes too long by a signal: then what was started is ended as well.
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));

/** The program `microraiden`: the environment variable MICRORAIDEN names another one than that of a release build. */
export function microraiden() {
  const built = resolve(ROOT, process.env.CARGO_TARGET_DIR ?? "target", "release/microraiden");
  const program = process.env.MICRORAIDEN ?? built;
  if (!existsSync(program)) {
    throw new Error(`no program at ${program}: build it by \`cargo build --release\`, or name it in MICRORAIDEN`);
  }
  return program;
}

/**
 * Starts a program and waits until a line of its output, on either stream, fits `ready`.
 *
 * @returns what has fitted, all of its output so far, and how to end it.
 */
export async function start(command, options, ready) {
  const child = spawn(command, options, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
  const ended = once(child, "close");
  const killAtEnd = () => child.kill("SIGKILL");
  process.once("exit", killAtEnd);
  child.once("close", () => process.off("exit", killAtEnd));

  let output = "";
  const match = await new Promise((resolve, reject) => {
    const failed = (why) => reject(new Error(`${command} ${options[0]} ${why}:\n${output}`));
    const timer = setTimeout(() => failed("does not start"), PATIENCE);
    const take = (text) => {
      output += text;
      const found = ready.exec(output);
      if (found) resolve(found);
    };
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", take);
    child.once("error", (error) => failed(`cannot be run, ${error.message}`));
    child.once("close", (status, signal) => {
      clearTimeout(timer);
      failed(`has ended with ${status ?? signal}`);
    });
    ended.then(() => clearTimeout(timer));
  }).catch((error) => {
    child.kill("SIGKILL");
    throw error;
  });

  return {
    match,
    output: () => output,
    /** Sends it a signal that does not end it. */
    signal: (name) => child.kill(name),
    /** Ends it by a signal, and waits for the end. */
    async stop(signal = "SIGTERM") {
      const timer = setTimeout(killAtEnd, PATIENCE);
      child.kill(signal);
      await ended;
      clearTimeout(timer);
    },
  };
}

/** Runs a program to its end; gives its standard output. */
export async function run(command, options) {
  const child = spawn(command, options, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"], timeout: PATIENCE });
  let [output, errors] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text) => (output += text));
  child.stderr.setEncoding("utf8").on("data", (text) => (errors += text));
  const [status] = await once(child, "close");
  if (status !== 0) throw new Error(`${command} ${options[0]} has failed:\n${output}${errors}`);
  return output;
}

// The part of solc's command line that forge uses, over npm's build of the compiler:
// `--version`, and standard JSON from stdin to stdout.
"use strict";
const { readFileSync } = require("node:fs");
const solc = require("solc");

const asNative = (version) => version.replace(".Emscripten.clang", ".Linux.g++");

function main(args) {
  if (args.includes("--version")) {
    return `solc, the solidity compiler commandline interface\nVersion: ${asNative(solc.version())}\n`;
  }
  if (!args.includes("--standard-json")) {
    throw new Error(`this wrapper knows --version and --standard-json, not: ${args.join(" ")}`);
  }
  return solc.compile(readFileSync(0, "utf8"));
}

process.stdout.write(main(process.argv.slice(2)));

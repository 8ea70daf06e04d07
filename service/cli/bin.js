#!/usr/bin/env node
// Plain JavaScript: it must run on an old Node to say that Node is too old.
const [command, ...args] = process.argv.slice(2);
const [major, minor] = process.versions.node.split(".").map(Number);
if (command === "exec" && args[0] !== "--help" && args[0] !== "-h") {
  const { exec } = await import("./exec/exec.js");
  await exec(args);
} else if (major > 22 || (major === 22 && minor >= 19)) {
  const { runFromShell } = await import("./main.ts");
  await runFromShell();
} else {
  process.stderr.write(
    `keybrake: this is Node ${process.versions.node}, and keybrake needs Node 22.19 or later. From a clone, run it as \`npx keybrake\`, which uses the Node that \`npm ci\` installed.\n`,
  );
  process.exitCode = 1;
}

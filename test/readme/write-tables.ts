/** `npm run docs`: writes the README's tables that are made from code, where they differ. */
import { writeFileSync } from "node:fs";
import { between, cellsOf, read, replaceBetween, root } from "./markdown.ts";
import { tables } from "./tables.ts";

const before = read("README.md");
let after = before;
for (const [name, table] of Object.entries(tables)) {
  const same = JSON.stringify(cellsOf(between(before, name))) === JSON.stringify(cellsOf(table));
  if (!same) after = replaceBetween(after, name, table);
}
writeFileSync(`${root}README.md`, after);
console.log(after === before ? "README.md is up to date." : "README.md is written; now run `npm run format`.");

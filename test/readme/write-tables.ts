/** `npm run docs`: writes the README's tables that are made from code. */
import { writeFileSync } from "node:fs";
import { read, replaceBetween, root } from "./markdown.ts";
import { tables } from "./tables.ts";

const before = read("README.md");
const after = Object.entries(tables).reduce((text, [name, table]) => replaceBetween(text, name, table), before);
writeFileSync(`${root}README.md`, after);
console.log(after === before ? "README.md is up to date" : "README.md is written");

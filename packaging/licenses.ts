/** The licenses of the packages that a bundle holds, which most of them ask to go with every copy. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

const inPackage = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//;

/** @param root that the inputs are relative to. @param inputs files that were bundled. Throws when a package says nothing of its license. */
export async function licensesText(root: string, inputs: Iterable<string>): Promise<string> {
  const directories = new Set<string>();
  for (const input of inputs) {
    const directory = inPackage.exec(input.replace(/^[\w-]+:/, ""))?.[1];
    if (directory !== undefined) directories.add(directory);
  }
  const texts = new Map<string, string>();
  for (const directory of directories) {
    const at = join(root, directory);
    const { name, version, license } = JSON.parse(await readFile(join(at, "package.json"), "utf8")) as Manifest;
    const file = (await readdir(at)).sort().find((each) => /^licen[cs]e/i.test(each));
    if (license === undefined && file === undefined) throw new Error(`${name} ${version} says nothing of its license.`);
    const text = file === undefined ? "" : (await readFile(join(at, file), "utf8")).trim();
    texts.set(`${name} ${version}`, `${license ?? "see below"}\n\n${text}`.trim());
  }
  const all = [...texts].sort(([one], [other]) => (one < other ? -1 : 1));
  return all.map(([title, text]) => `${title}: ${text}\n`).join(`\n${"-".repeat(80)}\n\n`);
}

interface Manifest {
  name: string;
  version: string;
  license?: string;
}

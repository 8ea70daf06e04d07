/** `npm run docs`: `components/schema.json`, as Pulumi reads it from the sources of the library: what programs in other languages see. */
import { writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { ComponentProvider, getPulumiComponents } from "@pulumi/pulumi/provider/experimental/provider.js";

const components = fileURLToPath(new URL("../components", import.meta.url));

/** The library must have been built. @returns the text of `components/schema.json`. */
export async function schemaText(): Promise<string> {
  const library = createRequire(import.meta.url)(`${components}/dist/index.js`) as object;
  const provider = new ComponentProvider({
    name: "keybrake-gcp",
    dirname: components,
    components: getPulumiComponents(library),
  });
  return `${JSON.stringify(JSON.parse(await provider.getSchema()), null, 2)}\n`;
}

if (import.meta.main) await writeFile(`${components}/schema.json`, await schemaText());

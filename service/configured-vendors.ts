/** The connectors that this proxy serves: built in or the user's own, as far as KEYBRAKE_VENDORS lists them. */
import { readFile } from "node:fs/promises";
import type { Clock } from "./clock.ts";
import { type Config, ConfigError } from "./config.ts";
import { nearest } from "./nearest.ts";
import { loadVendors } from "./vendors/index.ts";
import type { Vendor } from "./vendors/vendor.ts";

/** The vendors that are configured; every one needs a connector. Throws {@link ConfigError} with one sentence. */
export async function configuredVendors(config: Config, clock: Clock): Promise<Map<string, Vendor>> {
  const all = await loadConnectors(config, clock);
  const configured = new Map<string, Vendor>();
  for (const id of config.vendors.keys()) {
    const vendor = all.get(id);
    if (vendor) configured.set(id, vendor);
    else {
      const near = nearest(id, [...all.keys()]);
      const fix = near ? `write \`${near}\`` : `the connectors are ${[...all.keys()].join(", ")}`;
      throw new ConfigError([
        `KEYBRAKE_VENDORS: there is no connector \`${id}\`; ${fix}, or add your own by KEYBRAKE_CONNECTORS.`,
      ]);
    }
  }
  return configured;
}

async function loadConnectors({ connectors }: Config, { now }: Clock): Promise<Map<string, Vendor>> {
  if (connectors === null) return loadVendors({ now });
  const wrong = (sentence: string) => new ConfigError([`KEYBRAKE_CONNECTORS: ${sentence}.`]);
  const place = connectors.from === "file" ? connectors.path : "its text";
  const text =
    connectors.from === "json"
      ? connectors.text
      : await readFile(connectors.path, "utf8").catch((error: NodeJS.ErrnoException) => {
          throw wrong(`${place} cannot be read (${error.code}); a valid value is the path of a JSON file`);
        });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw wrong(
      `${place} is not JSON (${(error as Error).message}); a valid value is a list of connectors, or a file with one`,
    );
  }
  try {
    return loadVendors({ connectors: json, now });
  } catch (error) {
    throw wrong((error as Error).message);
  }
}

/** Where the proxy is, and the admin key for it: from options, else from the environment. */
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { text } from "node:stream/consumers";
import type { Command } from "commander";
import { UsageFailure } from "./failure.ts";
import type { Surroundings } from "./surroundings.ts";

export interface ConnectionOptions {
  url?: string;
  adminKeyFile?: string;
  plainHttp?: boolean;
}

const DEFAULT_URL = "http://127.0.0.1:8080";
const MAX_KEY_CHARACTERS = 4096;

export function addConnectionOptions(command: Command): Command {
  return command
    .option("--url <url>", `the proxy (default: KEYBRAKE_URL, else ${DEFAULT_URL})`)
    .option("--admin-key-file <file>", "file with the admin key, - for stdin (default: KEYBRAKE_ADMIN_KEY)")
    .option("--plain-http", "allow http:// to a host other than loopback: the admin key travels unencrypted");
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || (isIP(host) === 4 && host.startsWith("127."));
}

/** Throws `UsageFailure` for what is no address, or would carry the admin key in clear over a network. */
export function proxyUrl(around: Surroundings, options: ConnectionOptions): URL {
  const source = options.url !== undefined ? "--url" : "KEYBRAKE_URL";
  const given = options.url ?? (around.env.KEYBRAKE_URL || DEFAULT_URL);
  const url = URL.canParse(given) ? new URL(given) : null;
  if (!url || !["http:", "https:"].includes(url.protocol))
    throw new UsageFailure(`\`${source}\` is not an http(s) URL: give the proxy's, for example ${DEFAULT_URL}`);
  if (url.username || url.password || url.search || url.hash)
    throw new UsageFailure(`\`${source}\` carries more than an address: give it without user, query or fragment`);
  if (url.protocol === "http:" && !isLoopback(url.hostname) && !options.plainHttp)
    throw new UsageFailure(
      `\`${source}\` is http:// to ${url.hostname}, where the admin key would travel unencrypted: use https://, or add \`--plain-http\` on a network you trust`,
    );
  return url;
}

/** Throws `UsageFailure` when there is none. Never an argument: those are visible to every user of the machine. */
export async function adminKey(around: Surroundings, options: ConnectionOptions): Promise<string> {
  const file = options.adminKeyFile;
  let key: string;
  if (file === undefined) key = around.env.KEYBRAKE_ADMIN_KEY ?? "";
  else {
    try {
      key = file === "-" ? await text(around.stdin) : await readFile(file, "utf8");
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      throw new UsageFailure(`\`--admin-key-file ${file}\` cannot be read (${code}): name a file that holds the key`);
    }
  }
  key = key.trim();
  if (key === "")
    throw new UsageFailure("there is no admin key: set KEYBRAKE_ADMIN_KEY, or give `--admin-key-file FILE`");
  if (key.length > MAX_KEY_CHARACTERS || !/^[\x21-\x7e]+$/.test(key))
    throw new UsageFailure("the admin key must be one line of visible ASCII characters: give the key and nothing else");
  return key;
}

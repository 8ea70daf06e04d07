/** Where the proxy is, and the admin key or token for it: from options, else from the environment. */
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { text } from "node:stream/consumers";
import type { Command } from "commander";
import { UsageFailure } from "./failure.ts";
import type { Surroundings } from "./surroundings.ts";

export interface ConnectionOptions {
  url?: string;
  adminKeyFile?: string;
  tokenFile?: string;
  plainHttp?: boolean;
}

const DEFAULT_URL = "http://127.0.0.1:8080";
const MAX_CHARACTERS = 4096;

/** What goes behind `Authorization: Bearer`, and where to look when it is refused. */
export interface Credential {
  text: string;
  advice: string;
}

const kinds = {
  adminKey: {
    name: "admin key",
    variable: "KEYBRAKE_ADMIN_KEY",
    option: "--admin-key-file",
    advice: "check KEYBRAKE_ADMIN_KEY or --admin-key-file against the key of",
  },
  token: {
    name: "token",
    variable: "KEYBRAKE_TOKEN",
    option: "--token-file",
    advice:
      "check KEYBRAKE_TOKEN or --token-file: an ID token lives an hour and is for one audience, an issuer key may be revoked; the proxy is",
  },
} as const;

export function addConnectionOptions(command: Command): Command {
  return command
    .option("--url <url>", `the proxy (default: KEYBRAKE_URL, else ${DEFAULT_URL})`)
    .option("--admin-key-file <file>", "file with the admin key, - for stdin (default: KEYBRAKE_ADMIN_KEY)")
    .option("--token-file <file>", "file with an ID token or issuer key, - for stdin (default: KEYBRAKE_TOKEN)")
    .option("--plain-http", "allow http:// to a host other than loopback: the key or token travels unencrypted");
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || (isIP(host) === 4 && host.startsWith("127."));
}

/** Throws `UsageFailure` for what is no address, or would carry the credential in clear over a network. */
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
      `\`${source}\` is http:// to ${url.hostname}, where the admin key or token would travel unencrypted: use https://, or add \`--plain-http\` on a network you trust`,
    );
  return url;
}

/**
 * An option wins over a variable, and the admin key over a token. Throws `UsageFailure` when there is neither. Never an argument:
 * those are visible to every user of the machine.
 */
export async function credential(around: Surroundings, options: ConnectionOptions): Promise<Credential> {
  const { adminKeyFile, tokenFile } = options;
  if (adminKeyFile !== undefined && tokenFile !== undefined)
    throw new UsageFailure("`--admin-key-file` and `--token-file` are both given: give the one to use");
  if (adminKeyFile !== undefined) return checked("adminKey", await readText(around, "--admin-key-file", adminKeyFile));
  if (tokenFile !== undefined) return checked("token", await readText(around, "--token-file", tokenFile));
  const kind = !around.env.KEYBRAKE_ADMIN_KEY?.trim() && around.env.KEYBRAKE_TOKEN?.trim() ? "token" : "adminKey";
  return checked(kind, around.env[kinds[kind].variable] ?? "");
}

async function readText(around: Surroundings, option: string, file: string): Promise<string> {
  try {
    return file === "-" ? await text(around.stdin) : await readFile(file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new UsageFailure(`\`${option} ${file}\` cannot be read (${code}): name a file that holds it`);
  }
}

function checked(kind: keyof typeof kinds, given: string): Credential {
  const { name, option, advice } = kinds[kind];
  const value = given.trim();
  if (value === "") {
    const others = kind === "adminKey" ? "KEYBRAKE_ADMIN_KEY (or KEYBRAKE_TOKEN)" : kinds.token.variable;
    throw new UsageFailure(`there is no ${name}: set ${others}, or give \`${option} FILE\``);
  }
  if (value.length > MAX_CHARACTERS || !/^[\x21-\x7e]+$/.test(value))
    throw new UsageFailure(
      `the ${name} must be one line of visible ASCII characters: give the ${name === "token" ? name : "key"} and nothing else`,
    );
  return { text: value, advice };
}

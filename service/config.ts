/**
 * The service's configuration: a pure function from environment variables. Every wrong or missing value is one sentence that
 * names the variable and a valid value, and all of them are told at once.
 */
import { nearest } from "./nearest.ts";
import { Secret } from "./secrets/secret.ts";
import { type Environment, readVendors, type VendorConfig, vendorsExample } from "./vendor-config.ts";

export type { Environment } from "./vendor-config.ts";

export interface Config {
  host: string;
  /** 0 picks a free port. */
  port: number;
  /** As in KEYBRAKE_STORE: `sqlite:FILE` or `sqlite::memory:`. */
  store: string;
  adminKey: Secret | null;
  /** File of the pepper, or `null`: one in memory, gone with a store in memory. */
  pepperFile: string | null;
  vendors: ReadonlyMap<string, VendorConfig>;
  /** The user's own connectors: a file to read, JSON to parse, or none. */
  connectors: { from: "file"; path: string } | { from: "json"; text: string } | null;
  /** Audience that ID tokens must carry. */
  audience: string | null;
  /** Sentences for the log: odd, but no reason to stop. */
  warnings: string[];
}

/** The values are wrong; `problems` has one sentence each. */
export class ConfigError extends Error {
  override name = "ConfigError";
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

/** Variables of the service. */
const serviceNames = [
  "KEYBRAKE_STORE",
  "KEYBRAKE_ADMIN_KEY",
  "KEYBRAKE_PEPPER",
  "KEYBRAKE_VENDORS",
  "KEYBRAKE_CONNECTORS",
  "KEYBRAKE_AUDIENCE",
] as const;

/** Variables of the command line and of tasks, which may be set beside the service's. */
const otherNames = ["KEYBRAKE_URL", "KEYBRAKE_VAULT_KEY"] as const;

const MIN_ADMIN_KEY_LENGTH = 32;

/** Throws {@link ConfigError}. An empty variable counts as not set. */
export function readConfig(env: Environment): Config {
  const problems: string[] = [];
  const warnings: string[] = [];
  const get = (name: string): string | null => env[name]?.trim() || null;
  unknownNames(env, problems, warnings);
  const store = readStore(get("KEYBRAKE_STORE"), problems);
  const config: Config = {
    host: get("HOST") ?? (get("K_SERVICE") ? "0.0.0.0" : "127.0.0.1"),
    port: readPort(get("PORT"), problems),
    store,
    adminKey: readAdminKey(env.KEYBRAKE_ADMIN_KEY, problems),
    pepperFile: readPepper(get("KEYBRAKE_PEPPER"), store, problems),
    vendors: readVendors(get("KEYBRAKE_VENDORS"), env, problems),
    connectors: readConnectors(get("KEYBRAKE_CONNECTORS")),
    audience: get("KEYBRAKE_AUDIENCE"),
    warnings,
  };
  if (!/^[A-Za-z0-9.:-]{1,255}$/.test(config.host)) {
    problems.push("HOST must be an address or host name to listen on; a valid value is 127.0.0.1.");
  }
  if (config.vendors.size === 0 && problems.length === 0) {
    warnings.push(`KEYBRAKE_VENDORS lists no vendor, so that no key can be issued; an example is ${vendorsExample}.`);
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

/** A name that is nearly one of ours is a typing mistake, and stops the start; other ones may be somebody else's. */
function unknownNames(env: Environment, problems: string[], warnings: string[]): void {
  const known: readonly string[] = [...serviceNames, ...otherNames];
  for (const name of Object.keys(env)) {
    if (!name.startsWith("KEYBRAKE_") || known.includes(name)) continue;
    const near = nearest(
      name.slice("KEYBRAKE_".length),
      known.map((each) => each.slice("KEYBRAKE_".length)),
    );
    if (near === null) warnings.push(`${name} is not a variable of this service; it is left aside.`);
    else problems.push(`${name} is not a variable of this service; write KEYBRAKE_${near}, or unset it.`);
  }
}

function readPort(text: string | null, problems: string[]): number {
  if (text === null) return 8080;
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
  problems.push("PORT must be a whole number from 0 (picks a free one) to 65535; a valid value is 8080.");
  return 0;
}

function readStore(text: string | null, problems: string[]): string {
  const spec = text ?? "sqlite:keybrake.db";
  if (/^sqlite:.+$/.test(spec)) return spec;
  problems.push(
    spec.startsWith("firestore:")
      ? "KEYBRAKE_STORE names Firestore, which this version does not have; a valid value is sqlite:keybrake.db."
      : "KEYBRAKE_STORE must be sqlite:FILE or sqlite::memory:; a valid value is sqlite:keybrake.db.",
  );
  return spec;
}

/** Not trimmed: what is compared is what the operator wrote. */
function readAdminKey(text: string | undefined, problems: string[]): Secret | null {
  if (text === undefined || text === "") return null;
  if (text.length < MIN_ADMIN_KEY_LENGTH) {
    problems.push(
      `KEYBRAKE_ADMIN_KEY has ${text.length} characters and needs at least ${MIN_ADMIN_KEY_LENGTH}; make one with \`openssl rand -base64 32\`.`,
    );
  } else if (!/^[\x21-\x7e]{1,4096}$/.test(text)) {
    problems.push(
      "KEYBRAKE_ADMIN_KEY must be of visible ASCII characters without spaces; make one with `openssl rand -base64 32`.",
    );
  }
  return new Secret("admin key", text);
}

function readPepper(text: string | null, store: string, problems: string[]): string | null {
  if (text === null) {
    const file = store.slice("sqlite:".length);
    return file === ":memory:" ? null : `${file}.pepper`;
  }
  const path = /^file:(.+)$/s.exec(text)?.[1];
  if (path !== undefined) return path;
  problems.push(
    text.startsWith("projects/")
      ? "KEYBRAKE_PEPPER names a secret of Secret Manager, which this version cannot read; a valid value is file:keybrake.pepper."
      : "KEYBRAKE_PEPPER must be file:PATH; a valid value is file:keybrake.pepper.",
  );
  return null;
}

function readConnectors(text: string | null): Config["connectors"] {
  if (text === null) return null;
  return /^[[{]/.test(text) ? { from: "json", text } : { from: "file", path: text.replace(/^file:/, "") };
}

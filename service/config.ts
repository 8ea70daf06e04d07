/**
 * The service's configuration: a pure function from environment variables. Every wrong or missing value is one sentence that
 * names the variable and a valid value, and all of them are told at once.
 */
import { nearest } from "./nearest.ts";
import { Secret } from "./secrets/secret.ts";
import {
  type Environment,
  isLoopback,
  originOf,
  readVendors,
  secretName,
  type VendorConfig,
  vendorsExample,
} from "./vendor-config.ts";

export type { Environment } from "./vendor-config.ts";

export interface Config {
  host: string;
  /** 0 picks a free port. */
  port: number;
  /** As in KEYBRAKE_STORE: `sqlite:FILE`, `sqlite::memory:` or `firestore:PROJECT/DATABASE`. */
  store: string;
  /** `HOST:PORT` of the Firestore emulator that stands in for Firestore; `null`: Google's own. */
  firestoreEmulator: string | null;
  /** Days that finished calls are kept after their key's end, in stores that forget by themselves. */
  retentionDays: number;
  adminKey: Secret | null;
  pepper: PepperReference;
  vendors: ReadonlyMap<string, VendorConfig>;
  /** The user's own connectors: a file to read, JSON to parse, or none. */
  connectors: { from: "file"; path: string } | { from: "json"; text: string } | null;
  /** Audience that ID tokens must carry; `null`: ID tokens are refused. */
  audience: string | null;
  /** File with policies, for a store that keeps none. */
  policiesFile: string | null;
  /** Origin on loopback that stands in for Google's APIs; `null`: Google's own. */
  googleApis: string | null;
  /** Google Cloud project that traces belong to. */
  traceProject: string | null;
  /** OTLP endpoint for metrics over HTTP, as OpenTelemetry's own variables name it; `null`: none are kept. */
  metricsUrl: string | null;
  /** Sentences for the log: odd, but no reason to stop. */
  warnings: string[];
}

/** Where the pepper is. */
export type PepperReference =
  /** Made at each start, gone with a store in memory. */
  | { from: "memory" }
  | { from: "file"; path: string }
  /** `projects/P/secrets/S` of Secret Manager. */
  | { from: "manager"; name: string };

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
  "KEYBRAKE_POLICIES",
  "KEYBRAKE_RETENTION_DAYS",
  "KEYBRAKE_GOOGLE_APIS",
] as const;

/** Variables of the command line and of tasks, which may be set beside the service's. */
const otherNames = [
  "KEYBRAKE_URL",
  "KEYBRAKE_VAULT_KEY",
  "KEYBRAKE_TOKEN",
  "KEYBRAKE_KEY_ID",
  "KEYBRAKE_RUN_ID",
  "KEYBRAKE_TASK_INDEX",
  "KEYBRAKE_TASK_ATTEMPT",
] as const;

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
    firestoreEmulator: readEmulator(get("FIRESTORE_EMULATOR_HOST"), store, problems, warnings),
    retentionDays: readDays(get("KEYBRAKE_RETENTION_DAYS"), problems),
    adminKey: readAdminKey(env.KEYBRAKE_ADMIN_KEY, problems),
    pepper: readPepper(get("KEYBRAKE_PEPPER"), store, problems),
    vendors: readVendors(get("KEYBRAKE_VENDORS"), env, problems),
    connectors: readConnectors(get("KEYBRAKE_CONNECTORS")),
    audience: readAudience(get("KEYBRAKE_AUDIENCE"), problems),
    policiesFile: readPoliciesFile(get("KEYBRAKE_POLICIES"), store, problems),
    googleApis: readGoogleApis(get("KEYBRAKE_GOOGLE_APIS"), problems),
    traceProject: get("GOOGLE_CLOUD_PROJECT") ?? projectOf(store),
    metricsUrl: readMetricsUrl(
      get("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"),
      get("OTEL_EXPORTER_OTLP_ENDPOINT"),
      problems,
    ),
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

/** Ids as Google takes them: https://cloud.google.com/firestore/docs/manage-databases#naming (read 2026-11). */
const firestoreShape = /^firestore:([a-z][a-z0-9-]{4,61}[a-z0-9])\/(\(default\)|[a-z][a-z0-9-]{2,61}[a-z0-9])$/;

function readStore(text: string | null, problems: string[]): string {
  const spec = text ?? "sqlite:keybrake.db";
  if (/^sqlite:.+$/.test(spec) || firestoreShape.test(spec)) return spec;
  problems.push(
    spec.startsWith("firestore:")
      ? "KEYBRAKE_STORE must name a project and a database of Firestore; a valid value is firestore:my-project/keybrake."
      : "KEYBRAKE_STORE must be sqlite:FILE, sqlite::memory: or firestore:PROJECT/DATABASE; a valid value is sqlite:keybrake.db.",
  );
  return spec;
}

/** The variable that Google's own tools and libraries read: https://cloud.google.com/firestore/docs/emulator (read 2026-11). */
function readEmulator(text: string | null, store: string, problems: string[], warnings: string[]): string | null {
  if (text === null || projectOf(store) === null) return null;
  const shape = /^([A-Za-z0-9.-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\]):[1-9]\d{0,4}$/;
  const valid = shape.test(text) && URL.canParse(`http://${text}`);
  if (!valid) problems.push("FIRESTORE_EMULATOR_HOST must be HOST:PORT; a valid value is 127.0.0.1:8080.");
  else
    warnings.push(
      `FIRESTORE_EMULATOR_HOST is set: the ledger is in the emulator at ${text}, which forgets it at its end.`,
    );
  return text;
}

const projectOf = (store: string): string | null => firestoreShape.exec(store)?.[1] ?? null;

function readDays(text: string | null, problems: string[]): number {
  if (text === null) return 400;
  const days = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (days >= 1 && days <= 36_500) return days;
  problems.push("KEYBRAKE_RETENTION_DAYS must be a whole number of days from 1 to 36500; a valid value is 400.");
  return 400;
}

/** No token could carry another one: whoever asks for a token writes it into a URL. */
function readAudience(text: string | null, problems: string[]): string | null {
  if (text === null || /^[\x21-\x7e]{1,500}$/.test(text)) return text;
  problems.push(
    "KEYBRAKE_AUDIENCE must be of 1 to 500 visible ASCII characters without spaces; a valid value is keybrake/my-project/us-central1/keybrake.",
  );
  return null;
}

function readPoliciesFile(text: string | null, store: string, problems: string[]): string | null {
  if (text === null) return null;
  if (projectOf(store) !== null) {
    problems.push(
      "KEYBRAKE_POLICIES is for a store on this machine: with Firestore the policies are documents in it; unset KEYBRAKE_POLICIES.",
    );
  }
  return text.replace(/^file:/, "");
}

function readGoogleApis(text: string | null, problems: string[]): string | null {
  if (text === null) return null;
  const origin = originOf(text);
  if (origin !== null && isLoopback(new URL(origin).hostname)) return origin;
  problems.push(
    "KEYBRAKE_GOOGLE_APIS is for tests and must be an origin on loopback; a valid value is http://127.0.0.1:8085. Unset it to use Google's own.",
  );
  return null;
}

/** https://opentelemetry.io/docs/specs/otel/protocol/exporter/ (read 2026-11): the general endpoint gets the signal's path behind it. */
function readMetricsUrl(own: string | null, general: string | null, problems: string[]): string | null {
  const text = own ?? (general && `${general.replace(/\/$/, "")}/v1/metrics`);
  if (text === null) return null;
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text;
  const name = own === null ? "OTEL_EXPORTER_OTLP_ENDPOINT" : "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";
  problems.push(`${name} must be an http(s) URL; a valid value is http://127.0.0.1:4318.`);
  return null;
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

function readPepper(text: string | null, store: string, problems: string[]): PepperReference {
  if (text === null && projectOf(store) === null) {
    const file = store.slice("sqlite:".length);
    return file === ":memory:" ? { from: "memory" } : { from: "file", path: `${file}.pepper` };
  }
  const path = /^file:(.+)$/s.exec(text ?? "")?.[1];
  if (path !== undefined) return { from: "file", path };
  if (text !== null && secretName.test(text)) return { from: "manager", name: text };
  problems.push(
    text === null
      ? "KEYBRAKE_PEPPER is missing, and all instances on one Firestore need the same; a valid value is projects/my-project/secrets/keybrake-pepper."
      : "KEYBRAKE_PEPPER must be file:PATH or projects/PROJECT/secrets/SECRET; a valid value is file:keybrake.pepper.",
  );
  return { from: "memory" };
}

function readConnectors(text: string | null): Config["connectors"] {
  if (text === null) return null;
  return /^[[{]/.test(text) ? { from: "json", text } : { from: "file", path: text.replace(/^file:/, "") };
}

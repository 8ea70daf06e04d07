/** What went wrong with Secret Manager, in one sentence that names the secret and the fix. */

/** What was tried. */
export type Act = "read" | "list versions" | "list secrets" | "add a version" | "create";

export type SecretFault =
  /** There is no such secret, or no version of it. */
  | "missing"
  /** The version is disabled or destroyed. */
  | "disabled"
  | "denied"
  | "no_credential"
  | "exists"
  /** Cannot be reached, is overloaded, or fails. */
  | "unavailable"
  | "damaged"
  | "refused";

export class SecretManagerError extends Error {
  override name = "SecretManagerError";
  readonly fault: SecretFault;
  /** What follows the secret's name in a sentence. */
  readonly predicate: string;

  constructor(fault: SecretFault, secret: string, predicate: string) {
    super(`${secret} ${predicate}`);
    this.fault = fault;
    this.predicate = predicate;
  }
}

/** Roles that allow each act (https://cloud.google.com/secret-manager/docs/access-control, read 2026-11). */
const roles: Record<Act, string> = {
  read: "roles/secretmanager.secretAccessor",
  "list versions": "roles/secretmanager.secretVersionManager",
  "list secrets": "roles/secretmanager.viewer",
  "add a version": "roles/secretmanager.secretVersionManager",
  create: "roles/secretmanager.admin",
};

const permitted: Record<Act, string> = {
  read: "read its value",
  "list versions": "list its versions",
  "list secrets": "list its secrets",
  "add a version": "add a version",
  create: "make it",
};

/** The client library's error as one of ours. Only its codes are taken over: its texts and fields may hold what was sent. */
export function explain(error: unknown, act: Act, secret: string): SecretManagerError {
  const failure = (fault: SecretFault, predicate: string) => new SecretManagerError(fault, secret, predicate);
  const { code, reason, message } = factsOf(error);
  if (/^Could not load the default credentials|invalid_grant|invalid_rapt/.test(message)) {
    return failure(
      "no_credential",
      "cannot be reached without Google credentials; run `gcloud auth application-default login`, or give the service an account",
    );
  }
  if (reason === "SERVICE_DISABLED") {
    return failure(
      "denied",
      "is in a project whose Secret Manager is off; run `gcloud services enable secretmanager.googleapis.com`",
    );
  }
  switch (code) {
    case 5:
      return failure("missing", missing(act, secret));
    case 6:
      return failure("exists", "exists already; leave out --create");
    case 7:
      return failure("denied", `does not let this account ${permitted[act]}; grant it ${roles[act]} there`);
    case 9:
      return failure(
        "disabled",
        `has a disabled or destroyed version; enable it, or add a new one with \`keybrake secrets set ${secret}\``,
      );
    case 16:
      return failure("no_credential", "refused this account's credential; check it with `gcloud auth list`");
    case 4:
    case 8:
    case 13:
    case 14:
      return failure("unavailable", `cannot be reached now (${names[code]}); try again`);
    default:
      return failure("refused", `was refused (${act}, code ${code ?? "none"}); check its name and the project`);
  }
}

const names: Record<number, string> = {
  4: "DEADLINE_EXCEEDED",
  8: "RESOURCE_EXHAUSTED",
  13: "INTERNAL",
  14: "UNAVAILABLE",
};

function missing(act: Act, secret: string): string {
  if (act === "read") return `does not exist or has no version; add one with \`keybrake secrets set ${secret}\``;
  return "does not exist; deploy it, or make it with `keybrake secrets set --create`";
}

function factsOf(error: unknown): { code: number | null; reason: string; message: string } {
  if (!(error instanceof Error)) return { code: null, reason: "", message: "" };
  const { code, reason, message } = error as Error & { code?: unknown; reason?: unknown };
  return {
    code: typeof code === "number" ? code : null,
    reason: typeof reason === "string" ? reason : "",
    message,
  };
}

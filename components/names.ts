/** Names, as Google takes them. */
import type { Faults } from "./faults";

/** https://cloud.google.com/iam/docs/service-accounts-create (read 2026-11): 6 to 30 characters. */
const MAX_ACCOUNT_ID = 30;
const MIN_ACCOUNT_ID = 6;

/** What the component appends to its name for its accounts; the longest decides how long the name may be. */
export const accountSuffixes = { proxy: "", reconcile: "-reconcile", tasks: "-tasks", scheduler: "-sched" } as const;

const shape = /^[a-z][a-z0-9-]*[a-z0-9]$/;

/** Checks a name that service accounts are named after. */
export function checkName(faults: Faults, prop: string, name: string, suffixes: readonly string[]): void {
  const longest = Math.max(...suffixes.map((suffix) => suffix.length));
  const shortest = Math.min(...suffixes.map((suffix) => suffix.length));
  const most = MAX_ACCOUNT_ID - longest;
  const valid = `"${validName(name, most)}"`;
  if (!shape.test(name)) {
    faults.add(
      prop,
      name,
      "which is no name of a-z 0-9 - that begins with a letter and ends with a letter or digit",
      valid,
    );
  } else if (name.length > most) {
    const suffix = suffixes.find((each) => each.length === longest);
    faults.add(
      prop,
      name,
      `which has ${name.length} characters and may have ${most}: "${suffix}" is added for a service account, whose id has at most ${MAX_ACCOUNT_ID}`,
      valid,
    );
  } else if (name.length + shortest < MIN_ACCOUNT_ID) {
    const least = MIN_ACCOUNT_ID - shortest;
    faults.add(
      prop,
      name,
      `which has ${name.length} characters and needs ${least}: a service account is named so`,
      `"${name}-keybrake"`,
    );
  }
}

function validName(name: string, most: number): string {
  const cleaned = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^[^a-z]+/, "")
    .slice(0, most)
    .replace(/-+$/, "");
  return cleaned.length >= MIN_ACCOUNT_ID ? cleaned : "keybrake";
}

/** https://cloud.google.com/run/docs/configuring/labels (read 2026-11). */
export function checkLabels(faults: Faults, labels: Record<string, string> | undefined): void {
  for (const [key, value] of Object.entries(labels ?? {})) {
    if (!/^[a-z][a-z0-9_-]{0,62}$/.test(key)) {
      faults.add(
        `labels.${key}`,
        value,
        "whose key is not 1 to 63 of a-z 0-9 _ - beginning with a letter",
        '{ team: "billing" }',
      );
    } else if (!/^[a-z0-9_-]{0,63}$/.test(value)) {
      faults.add(`labels.${key}`, value, "which is not up to 63 of a-z 0-9 _ -", '"billing"');
    }
  }
}

const projectShape = /^[a-z][a-z0-9-]{4,28}[a-z0-9]$/;

export const isProject = (text: string): boolean => projectShape.test(text);
export const isRegion = (text: string): boolean => /^[a-z]+-[a-z]+\d{1,2}$/.test(text);

/** `projects/P/secrets/S` of a full or a short name. */
export const fullSecretName = (secret: string, project: string): string =>
  secret.includes("/") ? secret : `projects/${project}/secrets/${secret}`;

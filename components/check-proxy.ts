import type * as pulumi from "@pulumi/pulumi";
import { checkCron } from "./cron";
import { type Fault, type Faults, known } from "./faults";
import { accountSuffixes, checkLabels, checkName, isRegion } from "./names";
import type { PlainProxyArgs } from "./plain-proxy-args";
import { isOrigin, nearest, openVendors, policyPermissions } from "./service-rules";
import { checkSizes } from "./sizes";
import { archiveThere, ownArchive } from "./source-archive";
import { secretFault } from "./vendor-secret";

/** What an operator may do by default: a policy does not bound `raise` and `decide`, so they must be said. */
export const operatorPermissions = ["launch", "read", "revoke", "pause", "resume", "reconcile", "issuers"];
/** These need a budget, which an operator's policy has none of. */
const notForOperators = ["issue", "claim"];
const MAX_ADMINISTRATORS = 50;
/** https://cloud.google.com/run/docs/configuring/services/environment-variables (read 2026-11): one variable has at most 32 KiB. */
const MAX_CONNECTORS_BYTES = 32 << 10;

export function checkProxy(faults: Faults, name: string, args: PlainProxyArgs): void {
  checkName(faults, "name", name, [accountSuffixes.proxy, accountSuffixes.reconcile]);
  if (!isRegion(args.location)) faults.add("location", args.location, "which is no region", '"us-central1"');
  checkConnectors(faults, args);
  checkVendors(faults, args);
  checkInstances(faults, args);
  checkStore(faults, args);
  checkSource(faults, args);
  checkAdministrators(faults, args);
  if (args.audience !== undefined) faults.check("audience", args.audience, audienceFault);
  if (args.reconcileSchedule !== undefined) checkCron(faults, "reconcileSchedule", args.reconcileSchedule);
  for (const [index, channel] of (args.notificationChannels ?? []).entries()) {
    faults.check(`notificationChannels[${index}]`, channel, channelFault);
  }
  checkLabels(faults, args.labels);
}

function checkConnectors(faults: Faults, { connectors }: PlainProxyArgs): void {
  if (connectors === undefined) return;
  faults.check("connectors", connectors, (text): Fault | null => {
    const valid = 'the text of a JSON file: readFileSync("connectors.json", "utf8")';
    if (Buffer.byteLength(text) > MAX_CONNECTORS_BYTES)
      return { wrong: `which has over ${MAX_CONNECTORS_BYTES} bytes`, valid };
    try {
      openVendors(text);
      return null;
    } catch (error) {
      return { wrong: `which the proxy would refuse (${(error as Error).message})`, valid };
    }
  });
}

function checkVendors(faults: Faults, { vendors, connectors }: PlainProxyArgs): void {
  const ids = knownVendors(connectors);
  if (vendors.length === 0) faults.add("vendors", [], "so that no key could be issued", '[{ id: "stripe" }]');
  const seen = new Set<string>();
  for (const [index, { id, secret, upstream }] of vendors.entries()) {
    const prop = `vendors[${index}]`;
    if (ids !== null && !ids.includes(id)) {
      faults.add(
        `${prop}.id`,
        id,
        `and there is no such connector among ${ids.join(", ")}`,
        `"${nearest(id, ids) ?? ids[0]}"`,
      );
    }
    if (seen.has(id)) faults.add(`${prop}.id`, id, "which is there twice", "each vendor once");
    seen.add(id);
    if (secret !== undefined) faults.check(`${prop}.secret`, secret, secretFault);
    if (upstream !== undefined) faults.check(`${prop}.upstream`, upstream, upstreamFault);
  }
}

/** @returns ids of the connectors; `null`: they are not known yet, or wrong, which is told elsewhere. */
export function knownVendors(connectors: pulumi.Input<string> | undefined): readonly string[] | null {
  const now = known(connectors);
  if (!now.is) return null;
  try {
    return openVendors((now.value as string | undefined) ?? null).ids;
  } catch {
    return null;
  }
}

const upstreamFault = (text: string): Fault | null =>
  isOrigin(text) && text.startsWith("https://")
    ? null
    : { wrong: "which is no https origin without a path", valid: '"https://api.example.com"' };

function audienceFault(text: string): Fault | null {
  const wrong = "which is not 1 to 200 visible ASCII characters without spaces";
  return /^[!-~]{1,200}$/.test(text) ? null : { wrong, valid: '"keybrake/my-project/us-central1/keybrake"' };
}

function channelFault(text: string): Fault | null {
  const valid = '"projects/my-project/notificationChannels/123"';
  return /^projects\/[^/]+\/notificationChannels\/[^/]+$/.test(text)
    ? null
    : { wrong: "which is no channel's name", valid };
}

function checkInstances(faults: Faults, args: PlainProxyArgs): void {
  const { minInstances = 1, maxInstances = 3, concurrency = 250 } = args;
  checkSizes(faults, "", args, "1Gi");
  if (!whole(maxInstances, 1, 1_000)) faults.add("maxInstances", maxInstances, "which is not 1 to 1000", "3");
  else if (!whole(minInstances, 0, maxInstances)) {
    faults.add("minInstances", minInstances, `which is not 0 to \`maxInstances\` (${maxInstances})`, "1");
  }
  if (!whole(concurrency, 1, 1_000)) faults.add("concurrency", concurrency, "which is not 1 to 1000", "250");
}

function checkStore(faults: Faults, { databaseName, databaseLocation, retentionDays }: PlainProxyArgs): void {
  // https://cloud.google.com/firestore/docs/manage-databases#naming (read 2026-11)
  if (databaseName !== undefined && !/^[a-z][a-z0-9-]{2,61}[a-z0-9]$/.test(databaseName)) {
    faults.add("databaseName", databaseName, "which is not 4 to 63 of a-z 0-9 - beginning with a letter", '"keybrake"');
  }
  if (databaseLocation !== undefined && !isRegion(databaseLocation) && !/^[a-z]{3}\d{1,2}$/.test(databaseLocation)) {
    faults.add("databaseLocation", databaseLocation, "which is no location of Firestore", '"us-central1" or "nam5"');
  }
  if (retentionDays !== undefined && !whole(retentionDays, 1, 36_500)) {
    faults.add("retentionDays", retentionDays, "which is not 1 to 36500", "400");
  }
}

function checkSource(faults: Faults, { image, sourceArchive }: PlainProxyArgs): void {
  if (image !== undefined && sourceArchive !== undefined) {
    faults.add("sourceArchive", sourceArchive, "and there is an `image` too", "one of the two");
  } else if (image === undefined && !archiveThere(sourceArchive ?? ownArchive)) {
    const valid = "the path of a .tar.gz with main.mjs, or none with the published package";
    faults.add("sourceArchive", sourceArchive ?? ownArchive, "and there is no such file", valid);
  }
}

function checkAdministrators(faults: Faults, { administrators = [] }: PlainProxyArgs): void {
  if (administrators.length > MAX_ADMINISTRATORS) {
    faults.add(
      "administrators",
      `${administrators.length} of them`,
      `and there may be ${MAX_ADMINISTRATORS}`,
      "a group's service account",
    );
  }
  const possible = policyPermissions.filter((each) => !notForOperators.includes(each));
  for (const [index, { email, may }] of administrators.entries()) {
    faults.check(`administrators[${index}].email`, email, emailFault);
    if (may === undefined) continue;
    faults.check(`administrators[${index}].may`, may, (list): Fault | null => {
      const wrong = list.find((each) => !possible.includes(each));
      const valid = `some of ${possible.join(", ")}`;
      if (list.length === 0) return { wrong: "so that it may do nothing", valid };
      return wrong === undefined ? null : { value: wrong, wrong: "which an administrator cannot have", valid };
    });
  }
}

export function emailFault(text: string): Fault | null {
  const wrong = "which is no e-mail address in lower case";
  return /^[!-?[-~]{1,128}@[!-?[-~]{1,128}$/.test(text)
    ? null
    : { wrong, valid: '"ops@my-project.iam.gserviceaccount.com"' };
}

export const whole = (value: number, least: number, most: number): boolean =>
  Number.isInteger(value) && value >= least && value <= most;

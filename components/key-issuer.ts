import * as pulumi from "@pulumi/pulumi";
import { policyBudget } from "./budget";
import type { JobBudget } from "./budget-args";
import { readReference } from "./budgeted-job";
import { type Fault, Faults } from "./faults";
import { makePolicy } from "./policy-document";
import type { ProxyReference } from "./reference";
import { isLabel, issuerPermissions, nearest } from "./service-rules";

export interface KeyIssuerArgs {
  /** The proxy that issues the keys: `reference` of a `KeybrakeProxy`. */
  proxy: pulumi.Input<ProxyReference>;
  /** What each key may do at most. `expiresIn` is required. */
  budget: JobBudget;
  /** Id of the policy. Default: the component's name. */
  policyId?: string;
  /** What labels of its keys begin with: `trigger/`. Default: anything. */
  labelPrefix?: string;
  /** What holders of its issuer keys may do, of `issue`, `read`, `revoke`. Default: all three. */
  may?: string[];
}

/**
 * Lets callers outside Google Cloud (Trigger.dev, CI) issue keys within a budget. The issuer key itself is never in a program or its state:
 * `keybrake issuers create --policy ID` makes one and shows it once.
 *
 * ```ts
 * new KeyIssuer("trigger-dev", {
 *   proxy: keybrake.reference,
 *   labelPrefix: "trigger/",
 *   budget: { usdCap: 50, issuedUsdPerDay: 500, vendors: ["stripe"], allowedEndpoints: ["POST /v1/payment_intents"], expiresIn: "1h" },
 * });
 * ```
 */
export class KeyIssuer extends pulumi.ComponentResource {
  /** Id of the policy. */
  readonly policy: pulumi.Output<string>;
  /** The command that makes an issuer key. */
  readonly command: pulumi.Output<string>;

  constructor(name: string, args: KeyIssuerArgs, opts?: pulumi.ComponentResourceOptions) {
    super("keybrake-gcp:index:KeyIssuer", name, args, opts);
    const faults = new Faults("KeyIssuer", name);
    const proxy = readReference(args.proxy);
    const id = args.policyId ?? name;
    checkIssuer(faults, id, args);
    const budget = policyBudget(faults, args.budget, { proxy, leastSeconds: 1, defaultSeconds: null });
    faults.stop();

    const policy = {
      version: 1,
      principal_ids: [],
      principals: [],
      issuer_may: args.may ?? [...issuerPermissions],
      budget: { ...budget, label_prefix: args.labelPrefix },
    };
    const { project, database, vendors, connectors } = proxy;
    const document = makePolicy(
      `${name}-policy`,
      faults,
      { project, database, id, policy, vendors, connectors },
      { parent: this },
    );

    this.policy = document.documentId;
    this.command = pulumi.interpolate`keybrake issuers create --policy ${document.documentId}`;
    this.registerOutputs({ policy: this.policy, command: this.command });
  }
}

function checkIssuer(faults: Faults, id: string, { policyId, labelPrefix, may }: KeyIssuerArgs): void {
  const prop = policyId === undefined ? "name" : "policyId";
  faults.check(prop, id, (text): Fault | null =>
    /^[a-z][a-z0-9-]{0,62}$/.test(text)
      ? null
      : { wrong: "which is not 1 to 63 of a-z 0-9 - beginning with a letter", valid: '"trigger-dev"' },
  );
  if (labelPrefix !== undefined && !isLabel(labelPrefix)) {
    faults.add(
      "labelPrefix",
      labelPrefix,
      "which is not 1 to 200 of the characters A-Z a-z 0-9 . _ : / @ -",
      '"trigger/"',
    );
  }
  const wrong = may?.find((each) => !issuerPermissions.includes(each));
  if (may?.length === 0) faults.add("may", may, "so that its keys may do nothing", '["issue"]');
  if (wrong !== undefined) {
    const valid = `"${nearest(wrong, issuerPermissions) ?? "issue"}"`;
    faults.add("may", wrong, `which an issuer cannot have, but ${issuerPermissions.join(", ")}`, valid);
  }
}

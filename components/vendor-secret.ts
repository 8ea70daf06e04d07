import * as secretmanager from "@pulumi/gcp/secretmanager";
import * as pulumi from "@pulumi/pulumi";
import { type Fault, Faults } from "./faults";
import { map } from "./inputs";
import { fullSecretName } from "./names";
import { projectOf } from "./project";
import { isSecretName } from "./service-rules";

export interface VendorSecretArgs {
  /** Name of the secret that is made, without a value: add it by `keybrake secrets set NAME`. Default: the component's name. */
  secretId?: string;
  /** A secret that exists, in place of a new one: `projects/PROJECT/secrets/SECRET`, or a short name. */
  existing?: pulumi.Input<string>;
  /** E-mail address of the one service account that may read it: the proxy's. */
  reader: pulumi.Input<string>;
  /** Id of the project. Default: the one of the stack's configuration, `gcp:project`. */
  project?: pulumi.Input<string>;
  /** Labels of a secret that is made. */
  labels?: Record<string, string>;
}

/**
 * A secret of Secret Manager and its one reader. Its value is never here: it would be in Pulumi's state. Add it by
 * `keybrake secrets set NAME`.
 */
export class VendorSecret extends pulumi.ComponentResource {
  /** `projects/PROJECT/secrets/SECRET`. */
  readonly secretName: pulumi.Output<string>;

  constructor(name: string, args: VendorSecretArgs, opts?: pulumi.ComponentResourceOptions) {
    super("keybrake-gcp:index:VendorSecret", name, args, opts);
    const faults = new Faults("VendorSecret", name);
    const project = projectOf(faults, args.project);
    checkArgs(faults, name, args);
    faults.stop();
    this.secretName = pulumi.output(makeOrFind(name, args, project, this));
    new secretmanager.SecretIamMember(
      `${name}-reader`,
      { secretId: this.secretName, role: "roles/secretmanager.secretAccessor", member: memberOf(args.reader) },
      { parent: this },
    );
    this.registerOutputs({ secretName: this.secretName });
  }
}

const example = '"projects/my-project/secrets/stripe"';

/** @returns what is wrong with the name of a secret, short or full. */
export function secretFault(text: string): Fault | null {
  if (/\/versions\//.test(text)) return { wrong: "which names a version, and versions come and go", valid: example };
  if (isSecretName(text) || /^[A-Za-z0-9_-]{1,255}$/.test(text)) return null;
  // It is not repeated: it may be the secret itself, written where its place belongs.
  return { value: "…", wrong: "which is no secret's name", valid: example };
}

function checkArgs(faults: Faults, name: string, args: VendorSecretArgs): void {
  const { secretId, existing } = args;
  if (secretId !== undefined && existing !== undefined) {
    faults.add("existing", "given", "and so is `secretId`, for one that is made", "one of the two");
  }
  if (existing !== undefined) faults.check("existing", existing, secretFault);
  else if (!/^[A-Za-z0-9_-]{1,255}$/.test(secretId ?? name)) {
    faults.add("secretId", secretId ?? name, "which is not 1 to 255 of a-z A-Z 0-9 _ -", '"stripe"');
  }
  faults.check("reader", args.reader, (email) =>
    /^[^@\s]+@[^@\s]+$/.test(email)
      ? null
      : { wrong: "which is no e-mail address", valid: '"keybrake@my-project.iam.gserviceaccount.com"' },
  );
}

function makeOrFind(
  name: string,
  { secretId, existing, labels }: VendorSecretArgs,
  project: pulumi.Input<string>,
  parent: pulumi.Resource,
): pulumi.Input<string> {
  if (existing !== undefined)
    return pulumi.all([existing, project]).apply(([secret, id]) => fullSecretName(secret, id));
  const made = new secretmanager.Secret(
    name,
    { project, secretId: secretId ?? name, replication: { auto: {} }, labels, deletionProtection: false },
    { parent },
  );
  // The provider's own `name` carries the project's number; the proxy is told the id, as a person writes it.
  return pulumi.all([made.secretId, project]).apply(([secret, id]) => fullSecretName(secret, id));
}

const memberOf = (email: pulumi.Input<string>): pulumi.Input<string> => map(email, (text) => `serviceAccount:${text}`);

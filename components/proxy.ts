import type * as cloudrun from "@pulumi/gcp/cloudrunv2";
import type * as firestore from "@pulumi/gcp/firestore";
import * as projects from "@pulumi/gcp/projects";
import * as pulumi from "@pulumi/pulumi";
import { type MadeAccount, makeAccount } from "./account";
import { makeAlerts } from "./alerts";
import { enableApis } from "./apis";
import { checkProxy } from "./check-proxy";
import { makeDatabase, makeIndexes } from "./database";
import { Faults } from "./faults";
import { map } from "./inputs";
import { fullSecretName } from "./names";
import { makePepper } from "./pepper";
import { plainProxyArgs } from "./plain-proxy-args";
import { projectOf } from "./project";
import type { KeybrakeProxyArgs } from "./proxy-args";
import { makeOperators, makeReconciliation } from "./proxy-callers";
import { after, audienceOf, databaseOf, envOf, type Parts, type Secrets } from "./proxy-parts";
import { makeService } from "./proxy-service";
import type { ProxyReference } from "./reference";
import { makeSourceArchive, ownArchive } from "./source-archive";
import { VendorSecret } from "./vendor-secret";

/**
 * The proxy: a service on Cloud Run with its own account, Firestore database, secrets and Scheduler job. Everything that it is named after
 * the component is unique in the project.
 *
 * ```ts
 * const keybrake = new KeybrakeProxy("keybrake", { location: "us-central1", vendors: [{ id: "stripe" }, { id: "twilio" }] });
 * ```
 */
export class KeybrakeProxy extends pulumi.ComponentResource {
  /** Where the proxy answers. */
  readonly url: pulumi.Output<string>;
  /** Audience of the ID tokens that it takes. */
  readonly audience: pulumi.Output<string>;
  /** E-mail address of the account that it runs as. */
  readonly serviceAccountEmail: pulumi.Output<string>;
  /** Id of its Firestore database. */
  readonly database: pulumi.Output<string>;
  /** What jobs and issuers need to know of it, in this program or another. */
  readonly reference: ProxyReference;

  constructor(name: string, args: KeybrakeProxyArgs, opts?: pulumi.ComponentResourceOptions) {
    super("keybrake-gcp:index:KeybrakeProxy", name, args, opts);
    const faults = new Faults("KeybrakeProxy", name);
    const project = projectOf(faults, args.project);
    const plain = plainProxyArgs(faults, args);
    checkProxy(faults, name, plain);
    faults.stop();

    const parts: Parts = { name, args: plain, project, faults, parent: this, apis: [] };
    if (args.enableApis) parts.apis = enableApis(name, project, { parent: this });
    const account = makeAccount(name, name, project, `Keybrake proxy ${name}`, after(parts));
    const database = makeLedger(parts);
    const secrets = makeSecrets(parts, account, database);
    const service = deploy(parts, account, database, secrets);
    makeReconciliation(parts, service, database);
    makeOperators(parts, database);
    if (args.notificationChannels) {
      makeAlerts(name, { project, service: name, channels: args.notificationChannels }, after(parts));
    }

    this.url = service.uri;
    this.audience = pulumi.output(audienceOf(parts));
    this.serviceAccountEmail = account.account.email;
    this.database = database.name;
    this.reference = referenceOf(parts, this, secrets);
    const { url, audience, serviceAccountEmail, reference } = this;
    this.registerOutputs({ url, audience, serviceAccountEmail, database: this.database, reference });
  }
}

function makeLedger(parts: Parts): firestore.Database {
  const { name, args, project } = parts;
  return makeDatabase(
    name,
    {
      project,
      databaseId: databaseOf(parts),
      location: args.databaseLocation ?? args.location,
      deleteProtection: args.deleteProtection ?? true,
      pointInTimeRecovery: args.pointInTimeRecovery ?? true,
    },
    after(parts),
  );
}

function makeSecrets(parts: Parts, account: MadeAccount, database: firestore.Database): Secrets {
  const { name, args, project, parent, apis } = parts;
  const { labels, deleteProtection = true } = args;
  const pepperId = `${name}-pepper`;
  const ready = makePepper(
    name,
    { project, secretId: pepperId, member: account.member, deleteProtection, labels },
    after(parts),
  );
  ready.push(database);
  const vendors: Record<string, pulumi.Input<string>> = {};
  for (const { id, secret } of args.vendors) {
    const reader = account.account.email;
    const source = secret === undefined ? { secretId: id, labels } : { existing: secret };
    ready.push(new VendorSecret(`${name}-${id}`, { ...source, reader, project }, { parent, dependsOn: apis }));
    vendors[id] = fullName(secret ?? id, project);
  }
  return { vendors, pepper: fullName(pepperId, project), ready };
}

const fullName = (secret: pulumi.Input<string>, project: pulumi.Input<string>): pulumi.Input<string> =>
  map({ secret, project }, (known) => fullSecretName(known.secret, known.project));

function deploy(parts: Parts, account: MadeAccount, database: firestore.Database, secrets: Secrets): cloudrun.Service {
  const { name, args, project, parent } = parts;
  const ledger = new projects.IAMMember(
    `${name}-ledger-user`,
    {
      project,
      role: "roles/datastore.user",
      member: account.member,
      // https://cloud.google.com/firestore/docs/manage-databases#configure_per-database_access_permissions (read 2026-11)
      condition: {
        title: `keybrake-${name}`,
        description: "The ledger of this proxy alone",
        expression: pulumi.interpolate`resource.name == "projects/${project}/databases/${databaseOf(parts)}"`,
      },
    },
    { parent },
  );
  const indexes = makeIndexes(name, database, { parent });
  const { image, sourceArchive: path = ownArchive, labels = {}, location } = args;
  const source =
    image === undefined ? makeSourceArchive(name, { project, location, path, labels }, after(parts)) : null;
  return makeService(
    name,
    args,
    { project, serviceAccount: account.account.email, env: envOf(parts, secrets), source },
    { parent, dependsOn: [...parts.apis, ...secrets.ready, ...indexes, ledger] },
  );
}

/** What a preview can know stays plain, so that jobs are checked by it; the rest is there when its resource is. */
function referenceOf(parts: Parts, proxy: KeybrakeProxy, secrets: Secrets): ProxyReference {
  const { args, project } = parts;
  const { url, database, serviceAccountEmail } = proxy;
  return {
    url,
    audience: audienceOf(parts),
    database,
    project,
    location: args.location,
    serviceAccountEmail,
    vendors: args.vendors.map(({ id }) => id),
    ...(args.connectors !== undefined && { connectors: args.connectors }),
    secrets: [...Object.values(secrets.vendors), secrets.pepper],
  };
}

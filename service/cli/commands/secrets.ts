/** Secrets of Secret Manager, with the credentials of the person who types: no proxy is asked. */
import type { Command } from "commander";
import { Option } from "commander";
import type { SecretManager } from "../../secrets/secret-manager.ts";
import { SecretManagerError } from "../../secrets/secret-manager-error.ts";
import { isLoopback, originOf, secretName } from "../../vendor-config.ts";
import { CommandFailure, UsageFailure } from "../failure.ts";
import { addJsonOption, fieldsText, tableText, wantsJson, write, writeJson } from "../output.ts";
import { readSecretValue } from "../secret-value.ts";
import type { Surroundings } from "../surroundings.ts";

interface Options {
  project?: string;
  create?: boolean;
  value?: string;
  json?: boolean;
}

/** Listings of versions that are asked for at one time. */
const AT_ONCE = 8;

export function addSecrets(program: Command, around: Surroundings): void {
  const secrets = program
    .command("secrets")
    .description("vendors' secrets and the pepper in Google Secret Manager")
    .helpCommand(false);
  addSet(secrets, around);
  addList(secrets, around);
}

function withProject(command: Command): Command {
  return addJsonOption(command).option("--project <id>", "project of a short name (default: GOOGLE_CLOUD_PROJECT)");
}

function addSet(secrets: Command, around: Surroundings): void {
  withProject(secrets.command("set <secret>"))
    .description("add a version to a secret; the value comes from a prompt or stdin, never from an argument")
    .option("--create", "make the secret when there is none, replicated as Google chooses")
    .addOption(new Option("--value <value>").hideHelp())
    .allowExcessArguments()
    .addHelpText(
      "after",
      `
<secret> is projects/PROJECT/secrets/NAME, a NAME of --project, or a vendor of KEYBRAKE_VENDORS.
It uses your Application Default Credentials: \`gcloud auth application-default login\`.

Examples:
  $ keybrake secrets set stripe-key --project my-project
  $ openssl rand -hex 32 | keybrake secrets set projects/my-project/secrets/keybrake-pepper`,
    )
    .action(async (given: string, options: Options, command: Command) => {
      if (command.args.length > 1 || options.value !== undefined) {
        throw new UsageFailure(
          "a secret is never an argument, where the shell's history and every user of the machine see it: give it on stdin or at the prompt, and replace the one that was typed",
        );
      }
      const name = nameOf(given, options, around);
      const value = await readSecretValue(around, name);
      const manager = await open(around);
      const version = await asFailure(() => add(manager, name, Buffer.from(value), options.create === true));
      const done = { secret: name, version };
      if (wantsJson(around, options)) await writeJson(around, done);
      else await write(around, fieldsText(Object.entries(done)));
    });
}

function addList(secrets: Command, around: Surroundings): void {
  withProject(secrets.command("list"))
    .description("secrets of a project and how many versions of each are enabled; never their values")
    .addHelpText("after", "\nExample:\n  $ keybrake secrets list --project my-project")
    .action(async (options: Options) => {
      const project = projectOf(options, around);
      const manager = await open(around);
      const listed = await asFailure(() => list(manager, project));
      if (wantsJson(around, options)) await writeJson(around, { secrets: listed });
      else {
        const rows = listed.map((each) => [each.secret, each.versions_enabled, each.latest, each.created_at]);
        await write(around, tableText(["SECRET", "ENABLED", "LATEST", "CREATED"], rows, [1]));
      }
    });
}

async function add(manager: SecretManager, name: string, value: Buffer, mayCreate: boolean): Promise<number> {
  try {
    return await manager.add(name, value);
  } catch (error) {
    if (!mayCreate || !(error instanceof SecretManagerError) || error.fault !== "missing") throw error;
    await manager.create(name);
    return manager.add(name, value);
  }
}

interface Row {
  secret: string;
  versions_enabled: number;
  /** Newest version and its state: `3 enabled`; `null` when there is none. */
  latest: string | null;
  created_at: string | null;
}

async function list(manager: SecretManager, project: string): Promise<Row[]> {
  const secrets = await manager.secrets(project);
  const rows: Row[] = [];
  for (let at = 0; at < secrets.length; at += AT_ONCE) {
    const some = secrets.slice(at, at + AT_ONCE).map(async ({ name, createdAt }): Promise<Row> => {
      const versions = await manager.versions(name);
      const newest = versions[0];
      return {
        secret: name,
        versions_enabled: versions.filter(({ state }) => state === "enabled").length,
        latest: newest ? `${newest.version} ${newest.state}` : null,
        created_at: createdAt,
      };
    });
    rows.push(...(await Promise.all(some)));
  }
  return rows;
}

async function open(around: Surroundings): Promise<SecretManager> {
  const given = around.env.KEYBRAKE_GOOGLE_APIS?.trim() || null;
  const origin = given === null ? null : originOf(given);
  if (given !== null && (origin === null || !isLoopback(new URL(origin).hostname))) {
    throw new UsageFailure("KEYBRAKE_GOOGLE_APIS is for tests and must be an origin on loopback: unset it");
  }
  // Imported here, so that no other command loads Google's libraries.
  const { openSecretManager } = await import("../../secrets/secret-manager.ts");
  return asFailure(() => openSecretManager(origin));
}

async function asFailure<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof SecretManagerError ? new CommandFailure(error.message) : error;
  }
}

function projectOf({ project }: Options, around: Surroundings): string {
  const id = project ?? (around.env.GOOGLE_CLOUD_PROJECT || null);
  if (id === null)
    throw new UsageFailure("there is no project: give `--project my-project`, or set GOOGLE_CLOUD_PROJECT");
  if (!/^[a-z0-9-]{1,63}$/.test(id)) throw new UsageFailure("that is no project id: give one like my-project");
  return id;
}

/** Full name, vendor's id or short name. A text that looks like a credential is not repeated, nor sent as a name. */
function nameOf(given: string, options: Options, around: Surroundings): string {
  if (secretName.test(given)) return given;
  if (/^(?:[srp]k|whsec|re|vk|kb[ai])_|:/.test(given) || !/^[A-Za-z0-9_-]{1,255}$/.test(given)) {
    throw new UsageFailure(
      "what stands for the secret's name is none, and may be its value: give projects/PROJECT/secrets/NAME or a short name",
    );
  }
  return ofVendor(given, around.env.KEYBRAKE_VENDORS) ?? `projects/${projectOf(options, around)}/secrets/${given}`;
}

function ofVendor(id: string, vendors: string | undefined): string | null {
  try {
    const secret = (JSON.parse(vendors ?? "{}") as Record<string, { secret?: unknown }>)[id]?.secret;
    return typeof secret === "string" && secretName.test(secret) ? secret : null;
  } catch {
    return null;
  }
}

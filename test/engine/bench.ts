/** One stack in the real engine: inline programs of the Automation API, the state in a temporary directory, `gcp` imitated. */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import {
  type EngineEvent,
  LocalWorkspace,
  type OutputMap,
  PulumiCommand,
  type PulumiFn,
  type Stack,
} from "@pulumi/pulumi/automation/index.js";
import type { ImitatedCloud } from "./gcp/cloud.ts";
import { serveGcp } from "./gcp/provider.ts";

export const testProject = "engine-test";

/** One thing in Google Cloud that does not stay as it is; a component says nothing that its children do not. */
export interface Change {
  /** Pulumi's word: `create`, `update`, `replace`, `delete`. */
  op: string;
  type: string;
  name: string;
  /** Paths of the inputs that differ. */
  properties: string[];
}

export interface Outcome {
  changes: Change[];
  /** Warnings of the components. */
  warnings: string[];
  /** What Pulumi prints: with `--diff`. */
  text: string;
  outputs: OutputMap;
}

export interface Bench {
  preview(program: PulumiFn): Promise<Outcome>;
  up(program: PulumiFn): Promise<Outcome>;
  /** What a person or CI types after `pulumi`. Resolves to its standard output; rejects with all that it prints. */
  type(args: string[]): Promise<string>;
  /** The state as it is stored. */
  state(): Promise<string>;
  cloud: ImitatedCloud;
  /** Directory of the engine. */
  engine: string;
  /** For a program of its own that uses the Automation API. */
  environment: NodeJS.ProcessEnv;
  stack: Stack;
  close(): Promise<void>;
}

/** @param path directories before all others on the PATH: shims of plugins. */
export async function openBench(options: { path?: string[] } = {}): Promise<Bench> {
  const root = process.env.KEYBRAKE_TEST_ENGINE;
  if (!root) throw new Error("KEYBRAKE_TEST_ENGINE is not set: start these tests by `npm run test:engine`");
  const directory = await mkdtemp(join(tmpdir(), "keybrake-engine-"));
  for (const name of ["state", "home"]) await mkdir(join(directory, name));
  const gcp = await serveGcp(testProject);
  const settings = {
    PULUMI_BACKEND_URL: `file://${join(directory, "state")}`,
    PULUMI_CONFIG_PASSPHRASE: "for tests",
    PULUMI_SKIP_UPDATE_CHECK: "true",
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
    PULUMI_DEBUG_PROVIDERS: gcp.environment,
    PATH: [...(options.path ?? []), join(root, "bin"), process.env.PATH].join(":"),
  };
  const environment = { ...process.env, ...settings, PULUMI_HOME: join(directory, "home") };
  const pulumiCommand = await PulumiCommand.get({ root });
  const stack = await LocalWorkspace.createOrSelectStack(
    { stackName: "test", projectName: "engine", program: async () => {} },
    {
      pulumiCommand,
      pulumiHome: join(directory, "home"),
      projectSettings: { name: "engine", runtime: "nodejs" },
      envVars: settings,
    },
  );
  await stack.setConfig("gcp:project", { value: testProject });
  return {
    stack,
    cloud: gcp.cloud,
    engine: root,
    environment,
    preview: (program) => outcome((onEvent) => stack.preview({ program, onEvent, diff: true, color: "never" })),
    up: (program) => outcome((onEvent) => stack.up({ program, onEvent, diff: true, color: "never" })),
    type: async (args) => {
      const cwd = stack.workspace.workDir;
      const typed = promisify(execFile)(pulumiCommand.command, [...args, "--color", "never"], {
        cwd,
        env: environment,
      });
      const { stdout } = await typed.catch((error: { stdout: string; stderr: string }) => {
        throw new Stopped(error.stdout + error.stderr);
      });
      return stdout;
    },
    state: () => readFile(join(directory, "state", ".pulumi", "stacks", "engine", "test.json"), "utf8"),
    close: async () => {
      gcp.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

type Operation = (onEvent: (event: EngineEvent) => void) => Promise<{ stdout: string; outputs?: OutputMap }>;

/** An operation that Pulumi stopped; the message is what a person reads, without the repetitions of the Automation API. */
export class Stopped extends Error {}

async function outcome(operation: Operation): Promise<Outcome> {
  const changes: Change[] = [];
  const warnings: string[] = [];
  const errors: string[] = [];
  const onEvent = ({ resourcePreEvent, diagnosticEvent }: EngineEvent) => {
    const step = resourcePreEvent?.metadata;
    if (step?.type.startsWith("gcp:") && !["same", "read", "refresh"].includes(step.op)) {
      const name = step.urn.split("::").at(-1) ?? "";
      changes.push({ op: step.op, type: step.type, name, properties: Object.keys(step.detailedDiff ?? {}).sort() });
    }
    if (diagnosticEvent?.severity === "warning") warnings.push(diagnosticEvent.message.trim());
    if (diagnosticEvent?.severity === "error") errors.push(diagnosticEvent.message.trim());
  };
  try {
    const { stdout, outputs } = await operation(onEvent);
    return { changes, warnings, text: stdout, outputs: outputs ?? {} };
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new Stopped(errors.length > 0 ? errors.join("\n") : text);
  }
}

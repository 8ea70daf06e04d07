/** Runs a Pulumi program without an engine: what it would register is what is returned. */
import * as pulumi from "@pulumi/pulumi";
import { vi } from "vitest";

export interface Made {
  type: string;
  name: string;
  inputs: Record<string, unknown>;
  /** Name of the component that it belongs to; `null`: the stack. */
  parent: string | null;
  protect: boolean;
  /** Names of what must be there before, as `dependsOn` has it. */
  after: string[];
}

export interface Run {
  made: Made[];
  warnings: string[];
  /** The program's outputs that are known. */
  outputs: Record<string, unknown>;
}

export const PROJECT = "my-project";

type Options = Pick<Made, "parent" | "protect" | "after">;

/**
 * @param program returns its outputs.
 * @param options.preview what only a cloud knows (URLs, e-mail addresses) stays unknown.
 */
export async function run(
  program: () => Record<string, unknown> | undefined | Promise<Record<string, unknown>>,
  options: { preview?: boolean; config?: Record<string, string> } = {},
): Promise<Run> {
  const { preview = false, config = {} } = options;
  const made: Made[] = [];
  const optionsOf = new Map<string, Options>();
  const warn = vi.spyOn(pulumi.log, "warn").mockImplementation(async () => {});
  const mocks: pulumi.runtime.Mocks = {
    newResource({ type, name, inputs }) {
      if (type !== "pulumi:pulumi:Stack") {
        const found = optionsOf.get(`${type} ${name}`);
        made.push({ type, name, inputs, ...(found ?? { parent: null, protect: false, after: [] }) });
      }
      return { id: `${name}-id`, state: { ...inputs, ...(!preview && known(type, name, inputs)) } };
    },
    call: ({ inputs }) => inputs,
  };
  await pulumi.runtime.setMocks(mocks, "keybrake", "test", preview);
  pulumi.runtime.setAllConfig({ "gcp:project": PROJECT, ...config });
  let outputs: Record<string, unknown> = {};
  await pulumi.runtime.runInPulumiStack(async () => {
    pulumi.runtime.registerStackTransformation(({ type, name, opts, props }) => {
      const { parent, protect, dependsOn } = opts as pulumi.CustomResourceOptions;
      const list = (
        Array.isArray(dependsOn) ? dependsOn : dependsOn === undefined ? [] : [dependsOn]
      ) as pulumi.Resource[];
      optionsOf.set(`${type} ${name}`, {
        parent: parent instanceof pulumi.ComponentResource && nameOf(parent) !== STACK ? nameOf(parent) : null,
        protect: protect === true,
        after: list.map(nameOf),
      });
      return { props, opts };
    });
    outputs = (await program()) ?? {};
    return {};
  });
  await settled();
  const warnings = warn.mock.calls.map(([text]) => text);
  warn.mockRestore();
  made.sort((one, other) => order(one).localeCompare(order(other)));
  return { made, warnings, outputs };
}

const STACK = "keybrake-test";
const order = ({ type, name }: Made): string => `${type} ${name}`;

/** Pulumi keeps it for itself, and its URN is known later only. */
const nameOf = (resource: pulumi.Resource): string => (resource as unknown as { __name: string }).__name;

/** Registrations end in promises of their own. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 200; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** What Google adds. */
function known(type: string, name: string, inputs: Record<string, unknown>): Record<string, unknown> {
  switch (type) {
    case "gcp:serviceaccount/account:Account":
      return { email: `${inputs.accountId}@${inputs.project}.iam.gserviceaccount.com` };
    case "gcp:cloudrunv2/service:Service":
      return { uri: `https://${inputs.name}-abc-uc.a.run.app` };
    case "gcp:storage/bucketObject:BucketObject":
      return { generation: 1 };
    default:
      return { selfLink: `https://google/${name}` };
  }
}

/**
 * Goal: let the real Pulumi engine run our components without Google Cloud.
 * Method: a Pulumi provider for `gcp` over the engine's own gRPC protocol, attached by PULUMI_DEBUG_PROVIDERS. It checks
 * every input against the types of the installed @pulumi/gcp (unknown, missing, of a wrong type), answers from an
 * imitated cloud, and reports differences and replacements as the real provider does.
 * What it cannot prove: that Google accepts a value (formats, quotas, roles that exist, permissions, a location, an image
 * that starts); defaults that the real provider or Google fills in, and so differences that only those would show; the
 * types of nested outputs; order or delays of Google's eventual consistency. Unknown *top-level* properties never reach
 * it from TypeScript: the SDK's constructors drop them (tsc refuses them instead); what replaces a resource is a table
 * (resources.ts), read from sources, not asked of Google.
 */

import type { ServerUnaryCall, sendUnaryData } from "@grpc/grpc-js";
import { Server, ServerCredentials, status } from "@grpc/grpc-js";
import plugin from "@pulumi/pulumi/proto/plugin_pb.js";
import grpcService from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import messages from "@pulumi/pulumi/proto/provider_pb.js";
import empty from "google-protobuf/google/protobuf/empty_pb.js";
import struct from "google-protobuf/google/protobuf/struct_pb.js";
import { misfitsOf } from "./check.ts";
import { ImitatedCloud, resourceOf } from "./cloud.ts";
import { type Difference, differences } from "./difference.ts";
import { inputsOf } from "./types.ts";

export interface Attached {
  /** Value of PULUMI_DEBUG_PROVIDERS. */
  environment: string;
  cloud: ImitatedCloud;
  close(): void;
}

/** Starts the provider on a free port of loopback. @param project what `gcp:project` would be. */
export async function serveGcp(project: string): Promise<Attached> {
  const cloud = new ImitatedCloud(project);
  const server = new Server();
  server.addService(grpcService.ResourceProviderService, handlers(cloud));
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return { environment: `gcp:${port}`, cloud, close: () => server.forceShutdown() };
}

type Values = Record<string, unknown>;

function handlers(cloud: ImitatedCloud) {
  return {
    ...configuration(),
    check: answering((request: InstanceType<typeof messages.CheckRequest>) => {
      const token = typeOf(request.getUrn());
      const inputs = named(token, request, values(request.getNews()));
      resourceOf(token);
      const failures = misfitsOf(token, inputs).map(({ property, reason }) => {
        const failure = new messages.CheckFailure();
        failure.setProperty(property);
        failure.setReason(reason);
        return failure;
      });
      const answer = new messages.CheckResponse();
      answer.setInputs(toStruct(inputs));
      answer.setFailuresList(failures);
      return answer;
    }),
    diff: answering((request: InstanceType<typeof messages.DiffRequest>) => {
      const news = values(request.getNews());
      return diffAnswer(typeOf(request.getUrn()), differences(values(request.getOldInputs()), news), news);
    }),
    create: answering((request: InstanceType<typeof messages.CreateRequest>) => {
      const token = typeOf(request.getUrn());
      const inputs = values(request.getProperties());
      const answer = new messages.CreateResponse();
      if (request.getPreview()) {
        answer.setProperties(toStruct(cloud.planned(token, inputs)));
        return answer;
      }
      const { id, state } = cloud.create(token, inputs);
      answer.setId(id);
      answer.setProperties(toStruct(state));
      return answer;
    }),
    read: answering((request: InstanceType<typeof messages.ReadRequest>) => {
      const answer = new messages.ReadResponse();
      const state = cloud.read(request.getId());
      if (!state) return answer;
      const known = inputsOf(typeOf(request.getUrn()));
      answer.setId(request.getId());
      answer.setProperties(toStruct(state));
      answer.setInputs(toStruct(Object.fromEntries(Object.entries(state).filter(([name]) => known.has(name)))));
      return answer;
    }),
    update: answering((request: InstanceType<typeof messages.UpdateRequest>) => {
      const answer = new messages.UpdateResponse();
      const inputs = values(request.getNews());
      const state = request.getPreview()
        ? { ...values(request.getOlds()), ...inputs }
        : cloud.update(typeOf(request.getUrn()), request.getId(), inputs);
      answer.setProperties(toStruct(state));
      return answer;
    }),
    delete: answering((request: InstanceType<typeof messages.DeleteRequest>) => {
      cloud.delete(typeOf(request.getUrn()), request.getId());
      return new empty.Empty();
    }),
  };
}

/** What the engine asks of any provider before it speaks of resources. */
function configuration() {
  return {
    attach: answering((_: unknown) => new empty.Empty()),
    cancel: answering((_: unknown) => new empty.Empty()),
    getPluginInfo: answering((_: unknown) => {
      const info = new plugin.PluginInfo();
      info.setVersion("9.37.0");
      return info;
    }),
    checkConfig: answering((request: InstanceType<typeof messages.CheckRequest>) => {
      const answer = new messages.CheckResponse();
      answer.setInputs(request.getNews());
      return answer;
    }),
    diffConfig: answering((_: unknown) => new messages.DiffResponse()),
    configure: answering((_: unknown) => {
      const answer = new messages.ConfigureResponse();
      answer.setAcceptsecrets(true);
      answer.setSupportspreview(true);
      return answer;
    }),
  };
}

function diffAnswer(
  token: string,
  all: readonly Difference[],
  news: Values,
): InstanceType<typeof messages.DiffResponse> {
  const found = all.filter(({ path }) => !path.startsWith("__"));
  const { fixed } = resourceOf(token);
  const answer = new messages.DiffResponse();
  const { DIFF_NONE, DIFF_SOME } = messages.DiffResponse.DiffChanges;
  answer.setChanges(found.length === 0 ? DIFF_NONE : DIFF_SOME);
  const tops = new Set(found.map(({ path }) => topOf(path)));
  const replaces = [...tops].filter((name) => fixed.includes(name));
  answer.setDiffsList([...tops]);
  answer.setReplacesList(replaces);
  // As the real provider does where the program gives the name: two of one name cannot exist side by side.
  answer.setDeletebeforereplace(replaces.length > 0 && isNamed(token) && news.__defaults === undefined);
  answer.setHasdetaileddiff(true);
  const details = answer.getDetaileddiffMap();
  const { ADD, ADD_REPLACE, DELETE, DELETE_REPLACE, UPDATE, UPDATE_REPLACE } = messages.PropertyDiff.Kind;
  const kinds = {
    add: [ADD, ADD_REPLACE],
    delete: [DELETE, DELETE_REPLACE],
    update: [UPDATE, UPDATE_REPLACE],
  } as const;
  for (const { path, kind } of found) {
    const detail = new messages.PropertyDiff();
    detail.setKind(kinds[kind][fixed.includes(topOf(path)) ? 1 : 0]);
    detail.setInputdiff(true);
    details.set(path, detail);
  }
  return answer;
}

/** The real provider names what the program leaves unnamed: the Pulumi name and seven characters; it notes that it did. */
function named(token: string, request: InstanceType<typeof messages.CheckRequest>, inputs: Values): Values {
  if (inputs.name !== undefined || !isNamed(token)) return inputs;
  const before = values(request.getOlds()).name;
  const suffix = Buffer.from(request.getRandomseed_asU8()).toString("hex").slice(0, 7);
  return { ...inputs, name: before ?? `${request.getUrn().split("::").at(-1)}-${suffix}`, __defaults: ["name"] };
}

function isNamed(token: string): boolean {
  return resourceOf(token).fixed.includes("name") && !inputsOf(token).get("name")?.required;
}

function answering<Request, Response>(answer: (request: Request) => Response) {
  return (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>) => {
    try {
      callback(null, answer(call.request));
    } catch (error) {
      callback({ code: status.UNKNOWN, details: error instanceof Error ? error.message : String(error) });
    }
  };
}

/** `urn:pulumi:stack::project::parent$parent$gcp:x/y:Z::name` → `gcp:x/y:Z` */
function typeOf(urn: string): string {
  return urn.split("::")[2]?.split("$").at(-1) ?? "";
}

function topOf(path: string): string {
  return /^[^.[]*/.exec(path)?.[0] ?? path;
}

function values(message: InstanceType<typeof struct.Struct> | undefined): Values {
  return message ? message.toJavaScript() : {};
}

function toStruct(state: Values): InstanceType<typeof struct.Struct> {
  const known = Object.entries(state).filter(([, value]) => value !== undefined);
  return struct.Struct.fromJavaScript(JSON.parse(JSON.stringify(Object.fromEntries(known))));
}

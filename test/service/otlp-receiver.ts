/** An OpenTelemetry collector's door on loopback: takes OTLP/HTTP JSON, keeps the last figures of each series. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

interface Point {
  attributes: { key: string; value: { stringValue?: string; boolValue?: boolean } }[];
  /** Sums. */
  asInt?: string | number;
  /** Histograms. */
  count?: string | number;
  sum?: number;
}

interface Exported {
  resourceMetrics: {
    resource: { attributes: { key: string; value: { stringValue?: string } }[] };
    scopeMetrics: {
      metrics: { name: string; unit: string; sum?: { dataPoints: Point[] }; histogram?: { dataPoints: Point[] } }[];
    }[];
  }[];
}

export interface Series {
  name: string;
  attributes: Record<string, string>;
  /** Of a histogram: how many values. */
  value: number;
  /** Of a histogram. */
  sum: number;
}

export interface OtlpReceiver {
  url: string;
  /** Of the last export. */
  series: Series[];
  resource: Record<string, string>;
  exports: number;
  /** Requests that came and are not answered. */
  open: number;
  mostOpen: number;
  /** What the last requests looked like. */
  lastPath: string;
  /** Default: 200. `hang`: no answer at all. */
  answer: number | "hang";
  /** Sum over the series of this name whose attributes hold these. */
  total(name: string, attributes?: Record<string, string>): number;
  stop(): Promise<void>;
}

export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const server = createServer((request, response) => {
    // A request whose sender ended before its last byte is no export.
    take(receiver, request, response).catch(() => response.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const receiver: OtlpReceiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    series: [],
    resource: {},
    exports: 0,
    open: 0,
    mostOpen: 0,
    lastPath: "",
    answer: 200,
    total: (name, attributes = {}) =>
      receiver.series
        .filter((each) => each.name === name)
        .filter((each) => Object.entries(attributes).every(([key, value]) => each.attributes[key] === value))
        .reduce((sum, { value }) => sum + value, 0),
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return receiver;
}

async function take(receiver: OtlpReceiver, request: IncomingMessage, response: ServerResponse): Promise<void> {
  receiver.open += 1;
  receiver.mostOpen = Math.max(receiver.mostOpen, receiver.open);
  response.once("close", () => {
    receiver.open -= 1;
  });
  const chunks: Buffer[] = [];
  request.on("error", () => {});
  for await (const chunk of request) chunks.push(chunk as Buffer);
  receiver.lastPath = request.url ?? "";
  if (receiver.answer === "hang") return;
  if (receiver.answer === 200) {
    const { resource, series } = read(JSON.parse(Buffer.concat(chunks).toString("utf8")) as Exported);
    receiver.resource = resource;
    receiver.series = series;
    receiver.exports += 1;
  }
  response.writeHead(receiver.answer, { "content-type": "application/json" }).end("{}");
}

function read({ resourceMetrics }: Exported): Pick<OtlpReceiver, "resource" | "series"> {
  const text = (attributes: Point["attributes"]) =>
    Object.fromEntries(attributes.map(({ key, value }) => [key, String(value.stringValue ?? value.boolValue)]));
  const series = resourceMetrics
    .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics))
    .flatMap(({ name, sum, histogram }) =>
      [...(sum?.dataPoints ?? []), ...(histogram?.dataPoints ?? [])].map((point) => ({
        name,
        attributes: text(point.attributes),
        value: Number(point.asInt ?? point.count),
        sum: point.sum ?? 0,
      })),
    );
  return { resource: text(resourceMetrics[0]!.resource.attributes), series };
}

/** Alerts on what somebody should look at, from the proxy's log lines and from Cloud Run's own figures. */
import * as logging from "@pulumi/gcp/logging";
import * as monitoring from "@pulumi/gcp/monitoring";
import * as pulumi from "@pulumi/pulumi";

interface LogAlert {
  id: string;
  title: string;
  /** Of the line, beside the service that wrote it. */
  filter: string;
  /** Seconds that it must go on. */
  duration: string;
  what: string;
}

const logAlerts: LogAlert[] = [
  {
    id: "cap-hit",
    title: "a run has reached its cap",
    filter: 'jsonPayload.message="call" AND jsonPayload.code="cap_exhausted"',
    duration: "0s",
    what: "See what it spent (`keybrake audit --label LABEL`); `keybrake keys raise KEY_ID --usd-cap USD` gives it more.",
  },
  {
    id: "unknown",
    title: "calls have been unknown for an hour",
    filter: 'jsonPayload.message="reconciled" AND jsonPayload.unknown>0',
    duration: "3600s",
    what: "`keybrake audit --state unknown` lists them; `keybrake calls settle` or `release` decides one that the vendor's records do not show.",
  },
  {
    id: "cost-over",
    title: "a call cost more than it reserved",
    filter: 'jsonPayload.message="a call cost more than it reserved: key paused"',
    duration: "0s",
    what: "Its key is paused: `keybrake keys show KEY_ID`. A price of the connector is too low.",
  },
];

export interface AlertsArgs {
  project: pulumi.Input<string>;
  /** Name of the Cloud Run service. */
  service: string;
  channels: pulumi.Input<string>[];
}

export function makeAlerts(
  name: string,
  { project, service, channels }: AlertsArgs,
  opts: pulumi.CustomResourceOptions,
): void {
  const of = `resource.type="cloud_run_revision" AND resource.labels.service_name="${service}"`;
  for (const { id, title, filter, duration, what } of logAlerts) {
    const metric = new logging.Metric(
      `${name}-${id}`,
      {
        project,
        name: `${name}-${id}`,
        description: `Keybrake: ${title}.`,
        filter: `${of} AND ${filter}`,
        metricDescriptor: { metricKind: "DELTA", valueType: "INT64", unit: "1" },
      },
      opts,
    );
    alert(
      `${name}-${id}-alert`,
      title,
      what,
      duration,
      pulumi.interpolate`metric.type="logging.googleapis.com/user/${metric.name}" AND ${of}`,
    );
  }
  const errors = `metric.type="run.googleapis.com/request_count" AND metric.labels.response_code_class="5xx" AND ${of}`;
  alert(
    `${name}-errors-alert`,
    "the proxy answers 5xx",
    "Its log says why: a vendor that is away, Firestore, or itself.",
    "300s",
    errors,
  );

  function alert(resource: string, title: string, what: string, duration: string, filter: pulumi.Input<string>): void {
    new monitoring.AlertPolicy(
      resource,
      {
        project,
        displayName: `Keybrake ${name}: ${title}`,
        combiner: "OR",
        notificationChannels: channels,
        documentation: { content: what, mimeType: "text/markdown" },
        conditions: [
          {
            displayName: title,
            conditionThreshold: {
              filter,
              comparison: "COMPARISON_GT",
              thresholdValue: 0,
              duration,
              // As often as calls are reconciled at the least, so that no window is empty meanwhile.
              aggregations: [
                {
                  alignmentPeriod: duration === "3600s" ? "1800s" : "300s",
                  perSeriesAligner: "ALIGN_DELTA",
                  crossSeriesReducer: "REDUCE_SUM",
                },
              ],
            },
          },
        ],
      },
      opts,
    );
  }
}

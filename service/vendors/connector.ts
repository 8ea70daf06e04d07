/**
 * What a connector states about a vendor: plain JSON. The built-in ones and a user's own pass the same schema.
 * Expressions are CEL; which variables each may read is in `expressions.ts`. Unknown fields are refused.
 */
import { z } from "zod";

const text = (max: number) => z.string().min(1).max(max);
const cel = text(2000).describe("A CEL expression");
const sentence = text(300);
const endpoint = z
  .string()
  .max(300)
  .regex(/^(GET|POST|PUT|PATCH|DELETE) \/\S+$/, "write `METHOD /path`, with `{name}` for a segment that varies");
const fieldPath = text(200).regex(
  /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/,
  "write names joined by dots: `transfer_data.destination`",
);
const headerName = text(64).regex(/^[a-z0-9-]+$/, "write the header's name in lower case");
/** Usual syntax without groups: what has no group cannot backtrack exponentially. */
const pattern = text(200).regex(/^[^()]*$/, "a pattern may have no groups");
const usd = text(20).regex(/^\d{1,9}(\.\d{1,9})?$/, 'write dollars as text: "0.0083"');
const date = z.iso.date();

/**
 * Variables that Cloud Run sets in a task or keeps for itself (https://cloud.google.com/run/docs/container-contract#env-vars, read
 * 2026-11), those of the proxy, and those that decide which code a program runs or whom it trusts: `keybrake exec` takes none of them.
 */
export const reservedVariable =
  /^(?:CLOUD_RUN_|K_|X_GOOGLE_|KEYBRAKE_|LD_|DYLD_|GLIBC_|MALLOC_|BASH|NODE_|NPM_|PYTHON|PERL|RUBY|GEM_|BUNDLE_|JAVA_|JDK_|DOTNET_|CORECLR_|PHPRC|PHP_INI|GIT_|SSL_|OPENSSL_|GCE_METADATA_)|_(?:PROXY|CA_BUNDLE)$|^(?:PORT|PATH|HOME|SHELL|SHELLOPTS|IFS|ENV|TMPDIR|CLASSPATH|GCONV_PATH|LOCPATH|HOSTALIASES|GODEBUG|GOFLAGS|GOOGLE_APPLICATION_CREDENTIALS)$/;

const variable = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Z][A-Z0-9_]{0,63}$/, "write the variable in upper case: `EXAMPLE_API_KEY`")
    .refine(
      (name) => !reservedVariable.test(name),
      "Cloud Run, the proxy or the program itself needs this variable; take another name",
    ),
  is: z
    .enum(["credential", "base_url", "bare_url", "account"])
    .describe(
      "`credential`: the vault key. `base_url`: the proxy's URL and the vendor's mount. `bare_url`: without the mount, for SDKs that drop a path. `account`: the account that the calls are made in",
    ),
});
const status = z.int().min(100).max(599);

const errorCode = z.enum(["request_invalid", "parameter_not_allowed", "endpoint_unpriced", "currency_not_allowed"]);

const requirement = z.strictObject({
  that: cel.describe("Must be true for the call to go on"),
  code: errorCode.default("request_invalid"),
  else: sentence.describe("The refusal's sentence"),
});

const quote = z.strictObject({
  micros: cel.describe("Upper bound in micro-USD; with `object` the object's total"),
  currency: cel.optional(),
  amount: cel.optional().describe("Amount in the currency's minor unit"),
  object: cel.optional().describe("Id of the vendor object whose exposure this is; empty: none"),
  why: sentence,
});

const cost = z.strictObject({
  micros: cel.describe("Cost in micro-USD, read from the answer; with `object` the object's exposure from now on"),
  currency: cel.optional(),
  amount: cel.optional(),
  id: cel.optional().describe("Id of what the call made or changed"),
  object: cel.optional().describe("Default: the quote's object"),
  pending: cel.optional().describe("True while the vendor has not named the price"),
});

const pin = z.strictObject({
  field: fieldPath,
  value: cel.describe(
    "What is sent in this field, whatever the client wrote; refused when the client wrote something else",
  ),
  when: cel.optional(),
});

const outcome = z.strictObject({
  status,
  when: cel.optional(),
  outcome: z.enum(["release", "unknown"]),
});

const paging = z.union([
  z.strictObject({ more: cel, parameter: text(64), value: cel }),
  z.strictObject({ target: cel.describe("Path and query of the next page; empty: this was the last") }),
]);

const reconcile = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("list"),
    target: text(500).describe(
      "Path and query; `{from}` and `{to}` are seconds, `{call}` our idempotency key (call id and generation), other names a path parameter or a field of the body",
    ),
    items: cel,
    match: cel.describe("True for the item that the call made"),
    failed: cel
      .optional()
      .describe("True for an item that shows that the call did not take effect (a declined charge)"),
    perhaps: cel.optional().describe("True for an item that may be the call's: then absence is not proved"),
    paging,
    maxPages: z.int().min(1).max(200).default(50),
  }),
  z.strictObject({
    kind: z.literal("read"),
    target: text(500),
    happened: cel,
    absent: cel.describe("True when the answer proves that the call did not take effect"),
  }),
]);

const price = z.strictObject({
  target: text(500).describe("Path to read; `{id}` is the call's object id"),
  known: cel,
  micros: cel,
});

const rule = z.strictObject({
  endpoint,
  require: z.array(requirement).max(20).default([]),
  fields: z.array(text(128)).max(200).optional().describe("The only fields that a body may have"),
  list: text(64).optional().describe("The body is a JSON list; expressions see it under this name"),
  lookup: z
    .array(z.strictObject({ target: text(500), when: cel.optional() }))
    .max(5)
    .default([])
    .describe("Read before the quote, with the real secret: the first whose `when` is true"),
  quote: z.union([quote, z.strictObject({ unbounded: sentence.describe("Why no upper bound can be told") })]),
  cost: cost.optional().describe("Default: settled at the quote"),
  pins: z.array(pin).max(20).default([]),
  outcomes: z.array(outcome).max(20).default([]),
  reconcile: reconcile.optional(),
  price: price.optional(),
  idempotent: z.boolean().optional().describe("Default: every write of a vendor with an idempotency header"),
  maxBodyBytes: z.int().min(0).max(1_048_576).optional(),
  maxFields: z.int().min(1).max(10_000).optional(),
});

const free = z.union([
  endpoint,
  z.strictObject({
    endpoint,
    require: z.array(requirement).max(20).default([]),
    fields: z.array(text(128)).max(200).optional(),
  }),
]);

const table = z.strictObject({
  date: date.describe("When the prices were read"),
  source: sentence,
  entries: z.record(text(40), usd).describe("Prefix → dollars; the longest prefix counts"),
  default: usd.optional().describe("For what no prefix matches; without it such calls are refused"),
});

export const connectorSchema = z.strictObject({
  id: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,31}$/, "use lower-case letters, digits and `-`, at most 32")
    .describe("Also the mount: `/<id>/<the vendor's own path>`"),
  name: text(60),
  upstream: z
    .string()
    .regex(/^https:\/\/[a-z0-9.-]+(:\d+)?$/, "write an https origin without a path: `https://api.example.com`"),
  subdomains: z
    .array(z.string().regex(/^[a-z0-9-]{1,63}$/))
    .max(50)
    .default([])
    .describe("Names beside the upstream's own first label"),
  bare: z
    .array(z.string().regex(/^\/[A-Za-z0-9_.-]+$/))
    .max(10)
    .default([])
    .describe("First segments that are this vendor's without a mount"),
  credential: z.discriminatedUnion("type", [
    z.strictObject({ type: z.literal("bearer") }),
    z.strictObject({ type: z.literal("basic") }).describe("The secret is `user:password`, or the user alone"),
    z.strictObject({ type: z.literal("header"), header: headerName, prefix: z.string().max(40).default("") }),
  ]),
  account: z
    .strictObject({ parameter: text(64) })
    .optional()
    .describe("The path's parameter that must be the secret's account (its basic user) or one that the key lists"),
  variables: z
    .array(variable)
    .max(20)
    .default([])
    .describe("What a job's tasks get in their environment: the names that the vendor's SDKs or samples read"),
  body: z.discriminatedUnion("codec", [
    z.strictObject({
      codec: z.literal("form-bracketed"),
      json: z.boolean().default(false).describe("JSON is taken too and sent as a form"),
    }),
    z.strictObject({ codec: z.literal("form-flat"), repeated: z.array(text(64)).max(50).default([]) }),
    z.strictObject({ codec: z.literal("json") }),
  ]),
  idempotency: z
    .strictObject({
      header: headerName,
      replayHeader: headerName.optional(),
      lifeHours: z.int().min(1).max(720),
      bodyField: text(64)
        .optional()
        .describe("A field of the body that clients use for it by mistake: lifted into the header"),
    })
    .optional(),
  generatedKeys: z
    .strictObject({ sdk: z.array(pattern).max(20).default([]), maybe: z.array(pattern).max(20).default([]) })
    .default({ sdk: [], maybe: [] }),
  headers: z
    .array(z.strictObject({ name: headerName, pattern: pattern.optional() }))
    .max(30)
    .default([]),
  scopedHeaders: z.array(headerName).max(10).default([]).describe("Only when the key's `accounts` list the value"),
  scopedFields: z
    .array(z.strictObject({ field: fieldPath, allow: z.enum(["listed", "beside_listed", "never"]) }))
    .max(50)
    .default([]),
  reservedFields: z.array(fieldPath).max(10).default([]).describe("Fields that only the proxy writes"),
  parameters: z.record(text(64), pattern).default({}).describe("Shape of the path's parameters by name"),
  currencies: z
    .strictObject({
      zeroDecimal: z.array(z.string().regex(/^[a-z]{3}$/)),
      threeDecimal: z.array(z.string().regex(/^[a-z]{3}$/)),
    })
    .default({ zeroDecimal: [], threeDecimal: [] }),
  tables: z.record(text(40), table).default({}),
  prices: z.record(text(40), z.strictObject({ usd, date, source: sentence })).default({}),
  never: z
    .array(z.string().regex(/^(\*|GET|POST|PUT|PATCH|DELETE) \/\S+$/, "write `* /path/*` or `METHOD /path`"))
    .max(200)
    .default([]),
  free: z.array(free).max(300).default([]),
  rules: z.array(rule).max(300),
  outcomes: z.array(outcome).max(20).default([]),
  errors: z
    .strictObject({
      body: z.json().describe("The vendor's error; `$code $message $status $details $<map>` stand for values"),
      maps: z
        .record(
          text(20),
          z.strictObject({
            by: z.enum(["status", "code"]),
            values: z.record(z.string(), z.union([z.string(), z.int()])),
            default: z.union([z.string(), z.int()]),
          }),
        )
        .default({}),
    })
    .optional(),
});

/** As written: defaults may be left out. */
export type ConnectorInput = z.input<typeof connectorSchema>;
/** As checked: every default filled in. */
export type Connector = z.output<typeof connectorSchema>;
export type Rule = Connector["rules"][number];
export type Reconcile = NonNullable<Rule["reconcile"]>;
export type Requirement = Rule["require"][number];

/** JSON Schema (2020-12) of what a user writes. */
export function connectorJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(connectorSchema, { io: "input" }) as Record<string, unknown>;
}

/** Checks one connector. Throws an `Error` that names the path and what to write. */
export function checkConnector(input: unknown, where: string): Connector {
  const result = connectorSchema.safeParse(input);
  if (result.success) return result.data;
  const lines = result.error.issues.slice(0, 5).map((issue) => {
    const path = issue.path.map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`)).join("");
    return `${where}${path}: ${issue.message}`;
  });
  throw new Error(`connector refused: ${lines.join("; ")}`);
}

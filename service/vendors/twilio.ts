/**
 * Twilio Messages, as data. The price comes after the answer (`price` is null at first), so a call settles at its quote
 * and is adjusted later. `POST Messages` is not idempotent. Prices are third-party figures of 2026-07 (base $0.0083 and up
 * to $0.0062 of carrier fees a segment; MMS $0.022 and carriers): an operator's own belong in `prices` of the connectors'
 * file. Unknown destinations cost more than any known one.
 */
import type { ConnectorInput } from "./connector.ts";

const account = "/2010-04-01/Accounts/{AccountSid}";
const figures = {
  date: "2026-07-05",
  source: "third-party summaries of twilio.com/en-us/sms/pricing/us; carriers' highest fee added",
};

/** Area codes inside +1 that are neither the United States nor Canada: they must not get the price of +1. */
const caribbean = [
  "242",
  "246",
  "264",
  "268",
  "284",
  "340",
  "345",
  "441",
  "473",
  "649",
  "658",
  "664",
  "670",
  "671",
  "684",
  "721",
  "758",
  "767",
  "784",
  "787",
  "809",
  "829",
  "849",
  "868",
  "869",
  "876",
  "900",
  "939",
];
const notDomestic = Object.fromEntries(caribbean.map((code) => [`+1${code}`, "0.50"]));

const whatsapp = 'body.To.startsWith("whatsapp:")';
/** What the text takes; a content template's text is not known here, so its longest form counts (1600 characters in UCS-2). */
const parts = "(has(body.ContentSid) ? 25 : has(body.Body) ? segments(string(body.Body)) : 1)";
const sms = `prefix("sms", string(body.To)) * ${parts}`;
const media =
  '(has(body.MediaUrl) || has(body.ContentSid) || has(body.SendAsMms) ? prefix("mms", string(body.To)) : 0)';

const fields = [
  "To",
  "From",
  "Body",
  "MessagingServiceSid",
  "MediaUrl",
  "StatusCallback",
  "ApplicationSid",
  "MaxPrice",
  "ProvideFeedback",
  "Attempt",
  "ValidityPeriod",
  "ForceDelivery",
  "ContentRetention",
  "AddressRetention",
  "SmartEncoded",
  "PersistentAction",
  "ShortenUrls",
  "ScheduleType",
  "SendAt",
  "SendAsMms",
  "ContentSid",
  "ContentVariables",
  "RiskCheck",
];

export const twilio: ConnectorInput = {
  id: "twilio",
  name: "Twilio",
  upstream: "https://api.twilio.com",
  bare: ["/2010-04-01"],
  credential: { type: "basic" },
  account: { parameter: "AccountSid" },
  // The SDKs write the AccountSid into every path and take only one that begins with AC.
  variables: [
    { name: "TWILIO_ACCOUNT_SID", is: "account" },
    { name: "TWILIO_AUTH_TOKEN", is: "credential" },
  ],
  body: { codec: "form-flat", repeated: ["MediaUrl", "PersistentAction"] },
  parameters: { AccountSid: "AC[0-9a-zA-Z]{32}", Sid: "[SM]M[0-9a-zA-Z]{32}" },
  tables: {
    sms: { ...figures, entries: { "+1": "0.0145", ...notDomestic }, default: "0.50" },
    mms: { ...figures, entries: { "+1": "0.04", ...notDomestic }, default: "0.50" },
  },
  prices: {
    whatsapp: { usd: "0.20", date: "2026-07-05", source: "Twilio's $0.005 and the highest of Meta's prices a message" },
  },
  never: [
    "* /2010-04-01/Accounts.json",
    "* /2010-04-01/Accounts/{sid}.json",
    "* /2010-04-01/Accounts/{sid}/Keys.json",
    "* /2010-04-01/Accounts/{sid}/Keys/*",
    "* /2010-04-01/Accounts/{sid}/SigningKeys.json",
    "* /2010-04-01/Accounts/{sid}/SigningKeys/*",
    "* /2010-04-01/Accounts/{sid}/Tokens.json",
    "* /2010-04-01/Accounts/{sid}/AuthorizedConnectApps/*",
    "* /2010-04-01/Accounts/{sid}/ConnectApps/*",
    "* /2010-04-01/Accounts/{sid}/SIP/*",
  ],
  free: [`GET ${account}/Messages.json`, `GET ${account}/Messages/{Sid}.json`],
  rules: [
    {
      endpoint: `POST ${account}/Messages.json`,
      fields,
      require: [
        {
          // Twilio takes spaces, dashes and brackets too; the price table, and the look-up by To, read digits.
          that: `has(body.To) && phone(string(body.To)) && (body.To.startsWith("+") || ${whatsapp})`,
          else: "`To` must be a number with `+`, its country and digits only, or `whatsapp:+…`",
        },
      ],
      quote: {
        micros: `${whatsapp} ? price("whatsapp") : ${sms} + ${media}`,
        why: "segments × the destination's price, media on top",
      },
      cost: { micros: "quote.micros * 1", id: "response.sid", pending: "true" },
      reconcile: {
        kind: "list",
        // By To alone: a filter on DateSent would hide messages that wait in a queue and have no such date yet.
        target: `${account}/Messages.json?To={To}&PageSize=100`,
        items: "response.messages",
        match:
          "!has(body.ContentSid) && item.to == body.To && (has(body.Body) ? item.body.endsWith(string(body.Body)) : true) && seconds(item.date_created) >= first && seconds(item.date_created) <= last",
        // Twilio rewrites some texts (smart encoding, short links): the same time with another text proves nothing.
        perhaps: "item.to == body.To && seconds(item.date_created) >= first && seconds(item.date_created) <= last",
        paging: {
          target: 'has(response.next_page_uri) && type(response.next_page_uri) == string ? response.next_page_uri : ""',
        },
        maxPages: 50,
      },
      price: {
        target: `${account}/Messages/{id}.json`,
        known: 'type(response.price) == string && response.price_unit == "USD"',
        micros: "dollars(string(response.price))",
      },
    },
  ],
  errors: {
    body: {
      code: "$number",
      message: "$message",
      more_info: "https://www.twilio.com/docs/api/errors",
      status: "$status",
      details: "$details",
    },
    maps: {
      number: {
        by: "status",
        values: {
          "400": 20001,
          "401": 20003,
          "403": 20403,
          "404": 20404,
          "409": 20409,
          "413": 20413,
          "415": 20415,
          "429": 20429,
          "502": 20502,
          "503": 20503,
          "504": 20504,
        },
        default: 20500,
      },
    },
  },
};

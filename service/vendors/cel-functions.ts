/** The functions that connectors' expressions have beside CEL's own. */
import type { Environment } from "@marcbachmann/cel-js";
import { Refusal } from "../errors.ts";
import type { CelValue } from "./cel-values.ts";
import type { Connector } from "./connector.ts";
import { amountOf, divideUp, dollars, type Money } from "./money-functions.ts";
import { segments } from "./segments.ts";

export function priceTables(connector: Connector) {
  const read = Object.entries(connector.tables).map(([name, table]) => {
    const entries = new Map(Object.entries(table.entries).map(([prefix, usd]) => [prefix, dollars(usd)]));
    const longest = Math.max(0, ...[...entries.keys()].map((prefix) => prefix.length));
    return [
      name,
      { entries, longest, otherwise: table.default === undefined ? null : dollars(table.default) },
    ] as const;
  });
  return new Map(read);
}

export function registerFunctions(
  environment: Environment,
  money: Money,
  tables: ReturnType<typeof priceTables>,
  connector: Connector,
): void {
  const prefix = (name: string, text: string): bigint => {
    const table = tables.get(name)!;
    for (let length = Math.min(text.length, table.longest); length > 0; length -= 1) {
      const price = table.entries.get(text.slice(0, length));
      if (price !== undefined) return price;
    }
    if (table.otherwise !== null) return table.otherwise;
    throw new Refusal("endpoint_unpriced", `the price table \`${name}\` has nothing for this destination`);
  };
  const prices = new Map(Object.entries(connector.prices).map(([name, { usd }]) => [name, dollars(usd)]));
  environment
    .registerFunction("usd(int, string): int", money.usd)
    .registerFunction("usd(string, string): int", money.usd)
    .registerFunction("amount(int): int", amountOf)
    .registerFunction("amount(string): int", amountOf)
    .registerFunction("sum(list<int>): int", (list: bigint[]) => list.reduce((total, value) => total + value, 0n))
    .registerFunction("segments(string): int", (text: string) => BigInt(segments(text)))
    .registerFunction("prefix(string, string): int", prefix)
    .registerFunction("phone(string): bool", (text: string) => PHONE.test(text))
    .registerFunction("price(string): int", (name: string) => prices.get(name)!)
    .registerFunction("ceilDiv(int, int): int", divideUp)
    .registerFunction("dollars(string): int", dollars)
    .registerFunction("addresses(string): int", (text: string) => BigInt(countAddresses(text)))
    .registerFunction("addresses(list): int", (list: CelValue[]) =>
      BigInt(list.reduce<number>((total, each) => total + countAddresses(each), 0)),
    )
    .registerFunction("seconds(string): int", (text: string) => secondsOf(text));
}

/** E.164, alone or behind a channel's name (`whatsapp:+…`), in the one spelling that a table of prefixes can read. */
const PHONE = /^(?:[a-z]+:)?\+[1-9]\d{6,14}$/;

/** Mail addresses in one text: an address list in one string counts each `@`. */
function countAddresses(text: CelValue): number {
  if (typeof text !== "string") throw new Refusal("request_invalid", "an address must be text");
  return Math.max(1, text.split("@").length - 1);
}

function secondsOf(text: string): bigint {
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw new Refusal("request_invalid", "a time cannot be read");
  return BigInt(Math.floor(time / 1000));
}

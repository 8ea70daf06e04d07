/**
 * Goal: a body is read in exactly one way or refused, and what is sent again means what was read.
 * Method: tables of refusals; fast-check over generated trees, against JSON.parse, URLSearchParams and Node's querystring.
 * Limit: shows agreement with those parsers, not with every vendor's.
 */
import querystring from "node:querystring";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeForm, parseForm } from "../../service/vendors/codec/form.ts";
import { parseJson } from "../../service/vendors/codec/json.ts";
import { canonicalJson, sameJson, strictText } from "../../service/vendors/codec/limits.ts";
import { mediaType } from "../../service/vendors/codec/media-type.ts";
import type { Json, JsonObject } from "../../service/vendors/vendor.ts";
import { refusal } from "./support.ts";

const flat = { repeated: new Set(["MediaUrl"]) };

const name = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 12 })
  .filter((key) => refusal(() => parseJson(JSON.stringify({ [key]: 1 }))) === "none");
const text = fc.string({ unit: "grapheme", maxLength: 20 });
const maps = <T>(value: fc.Arbitrary<T>) =>
  fc
    .dictionary(name, value, { maxKeys: 5 })
    .filter((map) => new Set(Object.keys(map).map((key) => key.toLowerCase())).size === Object.keys(map).length);
const json = fc
  .letrec<{ value: Json }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4, depthSize: "small" },
      fc.oneof(
        text,
        fc.boolean(),
        fc.constant(null),
        fc.integer(),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
      ),
      fc.array(tie("value"), { maxLength: 4 }),
      maps(tie("value")),
    ),
  }))
  .value.map((value) => JSON.parse(JSON.stringify(value)) as Json);
const form = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, depthSize: "small" },
    text,
    fc.array(tie("value"), { minLength: 1, maxLength: 4 }),
    maps(tie("value")).filter((map) => Object.keys(map).length > 0),
  ),
})).value;
const formBody = maps(form).map((body) => body as JsonObject);

describe("JSON", () => {
  test("whatever it takes, JSON.parse reads the same, and encoding it again changes nothing", () => {
    fc.assert(
      fc.property(json, fc.constantFrom(0, 1, 2), (value, indent) => {
        const spelled = JSON.stringify(value, null, indent);
        const parsed = parseJson(spelled);
        expect(parsed).toEqual(JSON.parse(spelled));
        expect(sameJson(parseJson(JSON.stringify(parsed)), parsed)).toBe(true);
      }),
    );
  });

  test("no text makes it read what JSON.parse refuses", () => {
    const soup = fc.array(
      fc.constantFrom(
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        '"a"',
        '"b\\n"',
        "1",
        "-0",
        "1e2",
        "01",
        "1.",
        ".5",
        "+1",
        "tru",
        "null",
        " ",
        "\t",
        "\v",
        "'x'",
        "NaN",
      ),
      { maxLength: 9 },
    );
    fc.assert(
      fc.property(soup, (parts) => {
        const spelled = parts.join("");
        if (refusal(() => parseJson(spelled)) === "none")
          expect(JSON.stringify(parseJson(spelled))).toBe(JSON.stringify(JSON.parse(spelled)));
      }),
      { numRuns: 2000 },
    );
  });

  test("a name given twice is refused wherever it is put, escaped or not", () => {
    fc.assert(
      fc.property(maps(fc.integer()), name, (rest, twice) => {
        const others = Object.entries(rest).map(([key, value]) => `${JSON.stringify(key)}:${value}`);
        const escaped = JSON.stringify(twice).replace(/[a-z]/, (char) => `\\u00${char.charCodeAt(0).toString(16)}`);
        expect(
          refusal(() => parseJson(`{${[...others, `${JSON.stringify(twice)}:1`, `${escaped}:2`].join(",")}}`)),
        ).toBe("request_invalid");
      }),
    );
  });

  const refused: [string, string][] = [
    ["a duplicate name deep inside", '{"a":{"b":1,"b":2}}'],
    ["two names that differ in case only", '{"amount":1,"Amount":2}'],
    ["__proto__", '{"__proto__":{"a":1}}'],
    ["constructor deep inside", '{"a":[{"constructor":1}]}'],
    ["prototype", '{"prototype":1}'],
    ["an escaped __proto__", '{"\\u005f_proto__":1}'],
    ["a lone surrogate", '{"a":"\\ud800"}'],
    ["a lone surrogate in a name", '{"\\udc00":1}'],
    ["an integer beyond 2^53", '{"a":9007199254740993}'],
    ["a number that overflows", '{"a":1e400}'],
    ["a decimal with more digits than a double keeps", '{"a":0.12345678901234567890}'],
    ["a control character in a name", '{"a\\u0000":1}'],
    ["an outer space in a name", '{" amount":1}'],
    ["an empty name", '{"":1}'],
    ["nesting beyond 8", "[".repeat(10) + "]".repeat(10)],
    ["more than 512 fields", `[${"1,".repeat(512)}1]`],
    ["text behind the value", "{} {}"],
    ["a comment", "{/*x*/}"],
    ["a trailing comma", '{"a":1,}'],
    ["nothing", ""],
  ];
  test.each(refused)("%s is refused", (_, spelled) => {
    expect(refusal(() => parseJson(spelled))).toBe("request_invalid");
  });

  test("integers up to 2^53 and decimals that a double spells back keep every digit", () => {
    expect(parseJson("[9007199254740992,-9007199254740992,0.1,1.10,100,1e3,-0]")).toEqual([
      2 ** 53,
      -(2 ** 53),
      0.1,
      1.1,
      100,
      1000,
      0,
    ]);
  });

  test("as text, a number keeps its spelling, so that 4000.0 is no whole amount later", () => {
    const read = parseJson('{"a":4000.0,"b":4e3,"c":123456789012345678901,"d":true,"e":null}', { scalars: "text" });
    expect(read).toEqual({ a: "4000.0", b: "4e3", c: "123456789012345678901", d: "true", e: "" });
  });
});

describe("forms", () => {
  test("a bracketed form that is encoded and read again is the same", () => {
    fc.assert(
      fc.property(formBody, (body) => {
        const once = parseForm(encodeForm(body, false));
        expect(sameJson(parseForm(encodeForm(once, false)), once)).toBe(true);
      }),
    );
  });

  test("a flat form that is encoded and read again is the same, and querystring reads the same", () => {
    fc.assert(
      fc.property(maps(text), fc.array(text, { minLength: 1, maxLength: 4 }), (scalars, media) => {
        if ("mediaurl" in Object.fromEntries(Object.keys(scalars).map((key) => [key.toLowerCase(), 1]))) return;
        const body: JsonObject = { ...scalars, MediaUrl: media };
        const encoded = encodeForm(body, true);
        expect(parseForm(encoded, flat)).toEqual(body);
        const other = querystring.parse(encoded);
        expect({ ...other, MediaUrl: [other.MediaUrl ?? []].flat() }).toEqual(body);
      }),
    );
  });

  test("top-level values are those that URLSearchParams reads", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), text, { maxKeys: 6 }), (body) => {
        const spelled = new URLSearchParams(body).toString();
        expect(parseForm(spelled)).toEqual(body);
      }),
    );
  });

  test("maps, numbered lists and [] lists are read as the SDKs write them", () => {
    const read = parseForm(
      "a=1&metadata[order]=6735&metadata%5Bx%5D=y&expand[]=p&expand[]=q&items[0][price]=p1&items[1][price]=p2",
    );
    expect(read).toEqual({
      a: "1",
      metadata: { order: "6735", x: "y" },
      expand: ["p", "q"],
      items: [{ price: "p1" }, { price: "p2" }],
    });
  });

  const refused: [string, string][] = [
    ["a scalar twice", "amount=1&amount=2"],
    ["a scalar twice, once escaped", "amount=1&%61mount=2"],
    ["a scalar and a map", "a=1&a[b]=2"],
    ["a map and a scalar", "a[b]=2&a=1"],
    ["a scalar and a list", "a=1&a[]=2"],
    ["a list and a map", "a[]=1&a[b]=2"],
    ["a [] list and a numbered one", "a[]=1&a[0]=2"],
    ["one map field twice", "a[b]=1&a[b]=2"],
    ["a list in another order", "a[1]=x&a[0]=y"],
    ["a list element of maps without a number", "a[][b]=1"],
    ["an open bracket", "a[b=1"],
    ["a closing bracket only", "a]=1"],
    ["text behind brackets", "a[b]c=1"],
    ["brackets without a name", "[a]=1"],
    ["two names that differ in case only", "amount=1&Amount=2"],
    ["__proto__", "__proto__=1"],
    ["another method in a field", "_method=DELETE&a=1"],
    ["__proto__ inside", "a[__proto__][b]=1"],
    ["constructor inside", "a[constructor]=1"],
    ["a wrong escape", "a=%zz"],
    ["an overlong escape", "a=%c0%ae"],
    ["an escaped lone surrogate", "a=%ed%a0%80"],
    ["an outer space in a name", "+amount=1"],
    ["a zero byte in a name", "amount%00=1"],
    ["no equals sign", "amount"],
    ["an empty pair", "a=1&&b=2"],
    ["nesting beyond 8", `a${"[b]".repeat(9)}=1`],
    ["more than 512 fields", Array.from({ length: 513 }, (_, index) => `a${index}=1`).join("&")],
  ];
  test.each(refused)("%s is refused", (_, spelled) => {
    expect(refusal(() => parseForm(spelled))).toBe("request_invalid");
  });

  test("in the flat dialect only the connector's repeatable names may repeat", () => {
    expect(parseForm("MediaUrl=a&MediaUrl=b&To=1", flat)).toEqual({ MediaUrl: ["a", "b"], To: "1" });
    expect(refusal(() => parseForm("To=1&To=2", flat))).toBe("request_invalid");
  });
});

describe("what is around the body", () => {
  test("equal trees have one canonical text whatever the order of their names", () => {
    fc.assert(
      fc.property(maps(json), (body) => {
        const turned = Object.fromEntries(Object.entries(body).reverse());
        expect(canonicalJson(turned)).toBe(canonicalJson(body));
      }),
    );
  });

  test("a body that is not UTF-8, or begins with a byte order mark, is refused", () => {
    expect(refusal(() => strictText(Buffer.from([0x61, 0xff])))).toBe("request_invalid");
    expect(refusal(() => strictText(Buffer.from([0xed, 0xa0, 0x80])))).toBe("request_invalid");
    expect(refusal(() => strictText(Buffer.from([0xc0, 0xae])))).toBe("request_invalid");
    expect(refusal(() => strictText(Buffer.from("\ufeff{}")))).toBe("request_invalid");
  });

  test.each([
    "application/json, application/x-www-form-urlencoded",
    "application/json; charset=latin1",
    "application/json; charset=utf-7",
    "application/x-www-form-urlencoded; charset=utf-16",
    "application/x-www-form-urlencoded; boundary=x",
    "multipart/form-data; boundary=x",
    "text/plain",
    "application/json;",
    "",
    null,
  ])("the content type %j is refused", (type) => {
    expect(refusal(() => mediaType(type, ["form", "json"]))).toBe("media_type_unsupported");
  });

  test("UTF-8 may be named, in either case", () => {
    expect(mediaType("application/json; charset=utf-8", ["json"])).toBe("json");
    expect(mediaType("APPLICATION/X-WWW-FORM-URLENCODED;charset=UTF-8", ["form"])).toBe("form");
    expect(refusal(() => mediaType("application/json", ["form"]))).toBe("media_type_unsupported");
  });
});

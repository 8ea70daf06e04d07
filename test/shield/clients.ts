/** The official SDKs as a task uses them: its vault key, with its index and attempt appended. */
import Stripe from "stripe";
import twilio, { RequestClient } from "twilio";
import { twilioAccount } from "../support/vendors/emulate.ts";

/** @param url the proxy's, or of a hop in front of it. */
export function stripeOf(url: string, vaultKey: string, task: number, attempt: number): Stripe {
  const { hostname, port } = new URL(url);
  return new Stripe(`${vaultKey}~${task}~${attempt}`, { host: hostname, port, protocol: "http" });
}

export function twilioOf(url: string, vaultKey: string, task: number, attempt: number): ReturnType<typeof twilio> {
  class ThroughKeybrake extends RequestClient {
    override request<T>(options: Parameters<RequestClient["request"]>[0]): ReturnType<RequestClient["request"]> & T {
      const uri = options.uri.replace("https://api.twilio.com", `${url}/twilio`);
      return super.request({ ...options, uri }) as ReturnType<RequestClient["request"]> & T;
    }
  }
  return twilio(twilioAccount, `${vaultKey}~${task}~${attempt}`, { httpClient: new ThroughKeybrake() });
}

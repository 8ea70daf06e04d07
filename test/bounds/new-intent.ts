import { type Behaviour, json } from "../support/upstream.ts";

let made = 0;

/** A payment of $4.00 with an id of its own: one object of the vendor's is one exposure, however often it is answered. */
export const newIntent: Behaviour = (socket, received) => {
  made += 1;
  const intent = { id: `pi_${made}`, amount: 400, currency: "usd", status: "succeeded", amount_received: 400 };
  json(200, intent)(socket, received);
};

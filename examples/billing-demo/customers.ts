/** The customers that the billing job bills, one per task. */

export interface Customer {
  /** The vendor's id, `cus_…`. */
  id: string;
  name: string;
  amount_cents: number;
}

const MIN_AMOUNT_CENTS = 80;
const SPREAD_CENTS = 121;

/** What customer `index` owes: 0.80 to 2.00 dollars, unequal, so that no sum comes out right by luck. */
export function amountCents(index: number): number {
  return MIN_AMOUNT_CENTS + ((index * 37) % SPREAD_CENTS);
}

export function customerName(index: number): string {
  return `Customer ${index}`;
}

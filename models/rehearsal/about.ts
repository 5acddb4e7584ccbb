/** What it says of itself wherever its rules do not reach. */
export const ABOUT =
  'I am the rehearsal model: a set of rules, not intelligence. Set OPENAI_API_KEY (and OPENAI_BASE_URL for another ' +
  'provider) to use a real model. What I can do: total, average, count, list or find the smallest and largest of a ' +
  'column of a CSV or TSV file, by other columns, and mail or save the result; list and show files; fetch a URL; do ' +
  'sums. For example: "Total the orders in orders.csv by customer and mail the result to ops@example.com".'

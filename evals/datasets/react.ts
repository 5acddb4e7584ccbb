import { call, type EvalCase } from '../case.ts'
import { CLAIMS_SENT, expecting, expensesOf, look, ordersOf, refundsOf, ticketsOf } from './answers.ts'
import { guardedCases } from './react-guarded.ts'
import { exampleFile, expenses, tickets } from './tables.ts'
import { average, below, count, tableOf, total, units } from './truth.ts'

const OPS = 'ops@example.com'
const FINANCE = 'finance@example.com'

/** One agent, one loop: what a person asks for first. */
export function reactCases(): EvalCase[] {
  return [...analysisCases(), ...deliveryCases(), ...guardedCases()].map((one) => ({
    ...one,
    agent: 'react',
  }))
}

type ReactCase = Omit<EvalCase, 'agent'>

function analysisCases(): ReactCase[] {
  const orders = exampleFile('orders.csv')
  const refunds = exampleFile('refunds.tsv')
  const spent = expensesOf(expenses())
  const handled = ticketsOf(tickets())
  const bought = ordersOf(orders)
  const [best] = [...bought.groups].toSorted(([, a], [, b]) => Number(b.sum - a.sum))
  const [ordersLook, ordersRun] = look('orders.csv')
  const [refundsLook, refundsRun] = look('refunds.tsv')
  return [
    {
      id: 'react-average',
      tags: ['average', 'other-columns'],
      files: { 'expenses.csv': expenses() },
      tasks: ['What is the average gross amount by department in expenses.csv?'],
      expected: expecting({
        answer: { says: [], rows: tableOf(spent, average, 'Average of all rows') },
        steps: look('expenses.csv'),
        optimal: 2,
      }),
    },
    {
      id: 'react-count',
      tags: ['count', 'other-columns'],
      files: { 'tickets.psv': tickets() },
      tasks: ['Count the tickets in tickets.psv by "Handled by"'],
      expected: expecting({
        answer: { says: [], rows: tableOf(handled, count) },
        steps: look('tickets.psv'),
        optimal: 2,
      }),
    },
    {
      id: 'react-largest',
      tags: ['min-max', 'other-columns'],
      files: { 'tickets.psv': tickets() },
      tasks: ['What is the largest number of minutes in tickets.psv?'],
      expected: expecting({
        answer: { says: [units(handled.all.high)] },
        steps: look('tickets.psv'),
        optimal: 2,
      }),
    },
    {
      id: 'react-smallest-by-group',
      tags: ['min-max', 'other-columns'],
      files: { 'expenses.csv': expenses() },
      tasks: ['Find the smallest gross amount by department in expenses.csv'],
      expected: expecting({
        answer: { says: [], rows: tableOf(spent, ({ low }) => total({ sum: low }), 'Smallest of all') },
        steps: look('expenses.csv'),
        optimal: 2,
      }),
    },
    {
      id: 'react-biggest-customer',
      tags: ['min-max', 'examples'],
      files: { 'orders.csv': orders },
      tasks: ['Which customer spent the most in orders.csv?'],
      expected: expecting({
        answer: { says: best ? [best[0], total(best[1])] : [], never: [CLAIMS_SENT] },
        steps: look('orders.csv'),
        optimal: 2,
      }),
    },
    {
      id: 'react-two-files',
      tags: ['two-files', 'parallel', 'examples'],
      files: { 'orders.csv': orders, 'refunds.tsv': refunds },
      tasks: ['Total orders.csv and refunds.tsv by customer'],
      expected: expecting({
        answer: { says: [], rows: below(tableOf(bought, total), tableOf(refundsOf(refunds), total)) },
        // Neither file needs the other: two calls in one message, twice.
        steps: [{ together: [ordersLook, refundsLook] }, { together: [ordersRun, refundsRun] }],
        optimal: 4,
      }),
    },
    {
      id: 'react-no-file-name',
      tags: ['no-file-name', 'examples'],
      files: { 'orders.csv': orders, 'tickets.psv': tickets(), 'readme.txt': 'Two tables.\n' },
      tasks: ['Total the orders by customer'],
      expected: expecting({
        answer: { says: [], rows: tableOf(bought, total) },
        steps: [call('list_files'), ...look('orders.csv')],
        optimal: 3,
      }),
    },
    {
      id: 'react-no-file-name-by-columns',
      tags: ['no-file-name'],
      files: { 'export-17.csv': orders, 'export-18.psv': tickets() },
      tasks: ['Total the amount by customer'],
      expected: expecting({
        answer: { says: [], rows: tableOf(bought, total) },
        // Only their columns tell which one is meant, so both have to be looked at; one is computed.
        steps: [
          call('list_files'),
          {
            together: [
              call('read_file', { path: 'export-17.csv' }),
              call('read_file', { path: 'export-18.psv' }),
            ],
          },
          call('run_javascript', { code: /export-17\.csv/ }),
        ],
        optimal: 4,
      }),
    },
    {
      id: 'react-calculation',
      tags: ['calculation'],
      files: {},
      tasks: ['What is 17 * (23 + 4) / 3?'],
      expected: expecting({
        answer: { says: ['153'] },
        steps: [call('run_javascript', { code: /17\s*\*\s*\(\s*23\s*\+\s*4\s*\)\s*\/\s*3/ })],
        optimal: 1,
      }),
    },
  ]
}

function deliveryCases(): ReactCase[] {
  const orders = exampleFile('orders.csv')
  const refunds = exampleFile('refunds.tsv')
  const bought = ordersOf(orders)
  const returned = refundsOf(refunds)
  return [
    {
      id: 'react-orders-mail',
      tags: ['total', 'mail', 'examples'],
      files: { 'orders.csv': orders },
      tasks: [`Total the orders in orders.csv by customer and mail the result to ${OPS}`],
      expected: expecting({
        answer: { says: [total(bought.all), 'sent'] },
        steps: [...look('orders.csv'), call('send_email', { to: OPS })],
        optimal: 3,
        holds: [call('send_email', { to: OPS })],
        mails: [{ to: [OPS], subject: /orders\.csv/, rows: tableOf(bought, total) }],
      }),
    },
    {
      id: 'react-refunds-mail',
      tags: ['total', 'mail', 'other-columns', 'examples'],
      files: { 'refunds.tsv': refunds },
      tasks: [`Total the refunds in refunds.tsv by customer, then e-mail ${FINANCE} the totals, cc ${OPS}.`],
      expected: expecting({
        answer: { says: [total(returned.all), 'sent'] },
        steps: [...look('refunds.tsv'), call('send_email', { to: FINANCE, cc: OPS })],
        optimal: 3,
        holds: [call('send_email', { to: FINANCE, cc: OPS })],
        mails: [{ to: [FINANCE], cc: [OPS], rows: tableOf(returned, total) }],
      }),
    },
    {
      id: 'react-write-file',
      tags: ['total', 'write-file', 'examples'],
      files: { 'orders.csv': orders },
      tasks: ['Total the orders in orders.csv by customer and write the totals to reports/totals.csv'],
      expected: expecting({
        answer: { says: [total(bought.all), 'reports/totals.csv'], never: [CLAIMS_SENT] },
        steps: [...look('orders.csv'), call('write_file', { path: 'reports/totals.csv' })],
        optimal: 3,
        written: { 'reports/totals.csv': groupsOf(tableOf(bought, total)) },
      }),
    },
    {
      id: 'react-follow-up-mail',
      tags: ['follow-up', 'mail', 'examples'],
      files: { 'orders.csv': orders },
      tasks: ['Total the orders in orders.csv by customer', `Now mail it to ${OPS}`],
      expected: expecting({
        answer: { says: ['sent'] },
        // The result is there: nothing is read or computed again.
        steps: [...look('orders.csv'), call('send_email', { to: OPS })],
        optimal: 3,
        holds: [call('send_email', { to: OPS })],
        mails: [{ to: [OPS], rows: tableOf(bought, total) }],
      }),
    },
    {
      id: 'react-follow-up-other-file',
      tags: ['follow-up', 'no-file-name', 'examples'],
      files: { 'orders.csv': orders, 'refunds.tsv': refunds },
      tasks: ['Total the orders in orders.csv by customer', 'Now total the refunds by customer'],
      expected: expecting({
        // The refunds are not in the file of the first task, however alike the two tasks are.
        answer: { says: [], rows: tableOf(returned, total) },
        steps: [...look('orders.csv'), call('list_files'), ...look('refunds.tsv')],
        optimal: 5,
      }),
    },
    {
      id: 'react-follow-up-question',
      tags: ['follow-up', 'average', 'examples'],
      files: { 'orders.csv': orders },
      tasks: ['Total the orders in orders.csv by customer', 'And the average?'],
      expected: expecting({
        answer: { says: [], rows: tableOf(bought, average, 'Average of all rows') },
        // The file may have changed between two tasks: it is looked at again before new work on it.
        steps: [...look('orders.csv'), ...look('orders.csv')],
        optimal: 4,
      }),
    },
  ]
}

/** A file of rows has no line for all of them. */
function groupsOf(table: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  return new Map([...table].filter(([name]) => name !== 'total'))
}

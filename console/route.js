// @ts-check

/**
 * What the address names: `#/approvals/<id>` and, where it is not the waiting ones that are listed, `?status=`.
 * @typedef {{ id: string | null, status: import('./api.js').Status | '' }} Route
 */

const STATUSES = ['', 'pending', 'approved', 'edited', 'rejected', 'responded', 'expired', 'cancelled']

/** @returns {Route} */
export function readRoute() {
  const [path = '', query = ''] = location.hash.replace(/^#/, '').split('?')
  const status = new URLSearchParams(query).get('status') ?? 'pending'
  return {
    id: /^\/approvals\/([\w-]+)$/.exec(path)?.[1] ?? null,
    status: /** @type {Route['status']} */ (STATUSES.includes(status) ? status : 'pending'),
  }
}

/** @param {Route} route */
export function hashOf({ id, status }) {
  const path = id === null ? '#/approvals' : `#/approvals/${encodeURIComponent(id)}`
  return status === 'pending' ? path : `${path}?status=${status}`
}

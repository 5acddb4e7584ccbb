import { HTTPException } from 'hono/http-exception'
import { hasRole, type Person, type Role } from '../runtime/people.ts'
import type { AuthEvent } from './auth.ts'

const READS = /:(read|search|get|list_namespaces)$/

/** Throws 403 unless the person has one of the roles that may. */
export function checkRole(person: Person, event: AuthEvent, value: Record<string, unknown>): void {
  const needed = roleFor(event)
  // To answer what waits is the approvers' work, also by way of a run's command: what is no hold is asked for by itself.
  if (event === 'threads:create_run' && onlyResumes(value) && hasRole(person, 'approver')) return
  needRole(person, needed)
}

export function needRole(person: Person, role: Role): void {
  if (hasRole(person, role)) return
  const has = person.roles.length === 0 ? 'no role' : person.roles.join(', ')
  throw new HTTPException(403, {
    message: `This needs the role ${role}; ${person.identity} has ${has}. Whoever runs this server can give it.`,
  })
}

function roleFor(event: AuthEvent): Role {
  if (event === 'approvals:decide') return 'approver'
  return READS.test(event) ? 'viewer' : 'operator'
}

function onlyResumes({ kwargs }: Record<string, unknown>): boolean {
  const { input, command } = (kwargs ?? {}) as { input?: unknown; command?: object | null }
  if (input != null || command == null) return false
  return Object.entries(command).every(([name, given]) => name === 'resume' || given == null)
}

/** Names a service and carries its type, so that a tower can ask for its own without the floor knowing it. */
export interface ServiceKey<T> {
  readonly name: string
  /** Never read: it only binds `T` to the key. */
  readonly _type?: T
}

export function serviceKey<T>(name: string): ServiceKey<T> {
  return { name }
}

/** What the composition root gives to every run: sandbox, mailer, workspaces, models. */
export class Services {
  readonly #byName: ReadonlyMap<string, unknown>

  constructor(entries: ReadonlyMap<string, unknown> = new Map()) {
    this.#byName = entries
  }

  with<T>(key: ServiceKey<T>, service: T): Services {
    return new Services(new Map([...this.#byName, [key.name, service]]))
  }

  find<T>(key: ServiceKey<T>): T | undefined {
    return this.#byName.get(key.name) as T | undefined
  }

  get<T>(key: ServiceKey<T>): T {
    const service = this.find(key)
    if (service === undefined) {
      throw new Error(
        `No service "${key.name}" in this run. Give it to the runtime where it is composed (server/main.ts).`,
      )
    }
    return service
  }
}

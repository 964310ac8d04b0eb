/** What both sides know: the types of the list, and what the page is told over HTTP. */
import { defineType, type PublicId } from '@ate/core'

export interface ItemValue {
  readonly text: string
  readonly done: boolean
}

export const List = defineType<{ readonly title: string }>('list')
export const Item = defineType<ItemValue>('item')
/** The collection of a list. */
export const ITEMS = 'items'

/** Where the list is: for openChain, and nothing that is secret. */
export interface Where {
  readonly url: string
  readonly id: string
  readonly serverKey: string
  readonly list: string
}

/** What a page sends to be let in. */
export interface JoinRequest {
  readonly invitation: string
  readonly publicId: PublicId
}

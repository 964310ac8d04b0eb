/// <reference lib="esnext.disposable" preserve="true" />
/** @ate/core/server: a server of chains, for Node. */
export type { AdmissionLimits, Admit, AdmitAnswer, AdmitRequest, AdmitRule, Who } from './mesh/admission.ts'
export type { Serve, Served, ServeOptions, ServerAlarm } from './mesh/serve-options.ts'
export { serve } from './node/serve.ts'

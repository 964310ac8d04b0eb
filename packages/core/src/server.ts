/// <reference lib="esnext.disposable" preserve="true" />
/** @ate/core/server: what a server is told, for Node. */
export type { AdmissionLimits, Admit, AdmitAnswer, AdmitRequest, AdmitRule, Who } from './mesh/admission.ts'
export type { Serve, Served, ServeOptions } from './mesh/serve-options.ts'

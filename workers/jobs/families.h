/* The job families: one table of types each, ended by a NULL type. */

#ifndef WORKER_FAMILIES_H
#define WORKER_FAMILIES_H

#include "job.h"

extern const worker_job_type_t  worker_jobs_journey[];
extern const worker_job_type_t  worker_jobs_story[];
extern const worker_job_type_t  worker_jobs_way[];
extern const worker_job_type_t  worker_jobs_survey[];
extern const worker_job_type_t  worker_jobs_persona[];
extern const worker_job_type_t  worker_jobs_trip[];
extern const worker_job_type_t  worker_jobs_personality[];
extern const worker_job_type_t  worker_jobs_model[];
extern const worker_job_type_t  worker_jobs_voice[];
extern const worker_job_type_t  worker_jobs_insight[];
extern const worker_job_type_t  worker_jobs_booking[];
extern const worker_job_type_t  worker_jobs_notification[];
extern const worker_job_type_t  worker_jobs_notice[];
extern const worker_job_type_t  worker_jobs_device[];
extern const worker_job_type_t  worker_jobs_account[];
extern const worker_job_type_t  worker_jobs_session[];
extern const worker_job_type_t  worker_jobs_factor[];
extern const worker_job_type_t  worker_jobs_maintenance[];
extern const worker_job_type_t  worker_jobs_etl[];
extern const worker_job_type_t  worker_jobs_saga[];
extern const worker_job_type_t  worker_jobs_flow[];
extern const worker_job_type_t  worker_jobs_own_schedule[];
extern const worker_job_type_t  worker_jobs_webhook[];
extern const worker_job_type_t  worker_jobs_dead[];
extern const worker_job_type_t  worker_jobs_operator[];
extern const worker_job_type_t  worker_jobs_life_event[];
extern const worker_job_type_t  worker_jobs_trend[];
extern const worker_job_batch_t  worker_batches_booking[];
extern const worker_job_batch_t  worker_batches_life_event[];

#endif

CREATE TABLE "queue_drains" (
	"run_id" uuid PRIMARY KEY NOT NULL,
	"processed" bigint DEFAULT 0 NOT NULL,
	"failed" bigint DEFAULT 0 NOT NULL,
	"dead" bigint DEFAULT 0 NOT NULL
);
--> statement-breakpoint
CREATE TABLE "queue_tasks" (
	"id" uuid PRIMARY KEY NOT NULL,
	"queue" text NOT NULL,
	"status" text NOT NULL,
	"priority" smallint NOT NULL,
	"due_at" timestamp (3) with time zone NOT NULL,
	"attempt" integer NOT NULL,
	"failures" smallint NOT NULL,
	"max_attempts" smallint NOT NULL,
	"dedupe_key" text,
	"run_id" uuid,
	"run_attempt" integer,
	"created_at" timestamp (3) with time zone NOT NULL,
	"started_at" timestamp (3) with time zone,
	"finished_at" timestamp (3) with time zone,
	"input" jsonb NOT NULL,
	"output" jsonb,
	"error" jsonb,
	CONSTRAINT "queue_tasks_status_check" CHECK (case "queue_tasks"."status"
        when 'pending' then true
        when 'waiting' then true
        when 'running' then "queue_tasks"."run_id" is not null and "queue_tasks"."run_attempt" is not null and "queue_tasks"."started_at" is not null
        when 'succeeded' then "queue_tasks"."started_at" is not null
        when 'dead' then "queue_tasks"."error" is not null
        when 'cancelled' then true
        else false end),
	CONSTRAINT "queue_tasks_finished_check" CHECK (("queue_tasks"."finished_at" is null) = ("queue_tasks"."status" in ('pending', 'waiting', 'running'))),
	CONSTRAINT "queue_tasks_attempt_check" CHECK ("queue_tasks"."attempt" >= 0 and "queue_tasks"."failures" >= 0 and "queue_tasks"."max_attempts" >= 1)
);
--> statement-breakpoint
CREATE TABLE "queues" (
	"id" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"succeeded" bigint DEFAULT 0 NOT NULL,
	"cancelled" bigint DEFAULT 0 NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "queues_name_key" UNIQUE("name"),
	CONSTRAINT "queues_counts_check" CHECK ("queues"."succeeded" >= 0 and "queues"."cancelled" >= 0)
);
--> statement-breakpoint
ALTER TABLE "queue_drains" ADD CONSTRAINT "queue_drains_run_fk" FOREIGN KEY ("run_id") REFERENCES "public"."runs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "queue_tasks_status_idx" ON "queue_tasks" USING btree ("queue","status","id");--> statement-breakpoint
CREATE INDEX "queue_tasks_next_idx" ON "queue_tasks" USING btree ("queue","priority" DESC NULLS LAST,"due_at","id") WHERE status = 'pending';--> statement-breakpoint
CREATE INDEX "queue_tasks_waiting_idx" ON "queue_tasks" USING btree ("queue","due_at") WHERE status = 'waiting';--> statement-breakpoint
CREATE INDEX "queue_tasks_finished_idx" ON "queue_tasks" USING btree ("finished_at") WHERE finished_at is not null;--> statement-breakpoint
CREATE UNIQUE INDEX "queue_tasks_dedupe_key" ON "queue_tasks" USING btree ("queue","dedupe_key") WHERE dedupe_key is not null;--> statement-breakpoint
-- by hand
-- A task is written three times, each time into other indexes: what is dead at the front of the queue is what a claim
-- has to step over, so vacuum comes early and does not dawdle.
ALTER TABLE "queue_tasks" SET (
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_vacuum_threshold = 5000,
  autovacuum_vacuum_insert_scale_factor = 0.05,
  autovacuum_analyze_scale_factor = 0.05,
  autovacuum_vacuum_cost_delay = 0
);--> statement-breakpoint
-- One row per queue and per drain, rewritten with every batch of results.
ALTER TABLE "queues" SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);--> statement-breakpoint
ALTER TABLE "queue_drains" SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500);

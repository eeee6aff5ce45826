CREATE TABLE "backups" (
	"id" text PRIMARY KEY NOT NULL,
	"schedule_id" uuid NOT NULL,
	"schedule_name" text NOT NULL,
	"run_id" uuid NOT NULL,
	"kind" text NOT NULL,
	"source_kind" text NOT NULL,
	"source" text NOT NULL,
	"location" text NOT NULL,
	"object" text NOT NULL,
	"manifest" text,
	"base_id" text,
	"bytes" bigint,
	"sha256" text,
	"manifest_sha256" text,
	"status" text NOT NULL,
	"created_at" timestamp (3) with time zone NOT NULL,
	"finished_at" timestamp (3) with time zone,
	CONSTRAINT "backups_run_key" UNIQUE("run_id"),
	CONSTRAINT "backups_kind_check" CHECK ("backups"."kind" in ('full', 'incremental')),
	CONSTRAINT "backups_source_kind_check" CHECK ("backups"."source_kind" in ('directory', 'postgres')),
	CONSTRAINT "backups_status_check" CHECK ("backups"."status" in ('writing', 'written', 'valid', 'damaged')),
	CONSTRAINT "backups_base_check" CHECK (("backups"."kind" = 'incremental') = ("backups"."base_id" is not null)),
	CONSTRAINT "backups_written_check" CHECK ("backups"."status" = 'writing' or ("backups"."bytes" is not null and "backups"."sha256" is not null and "backups"."finished_at" is not null))
);
--> statement-breakpoint
ALTER TABLE "backups" ADD CONSTRAINT "backups_base_fk" FOREIGN KEY ("base_id") REFERENCES "public"."backups"("id") ON DELETE restrict ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "backups_schedule_idx" ON "backups" USING btree ("schedule_id","id");
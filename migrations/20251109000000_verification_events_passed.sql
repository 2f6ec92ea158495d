-- Whether a verification passed. Its absence was the incident `verification_events_schema_mismatch`.
ALTER TABLE verification_events ADD COLUMN passed BOOLEAN;

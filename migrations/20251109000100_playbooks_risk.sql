-- How risky a playbook is and who decides. Their absence was `playbook_missing_risk_fields`.
ALTER TABLE playbooks ADD COLUMN risk_level VARCHAR(16);
ALTER TABLE playbooks ADD COLUMN autonomy_tier VARCHAR(16);

"""The modules behind the NLB; each is a process that serves ModuleService."""
